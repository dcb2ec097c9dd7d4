//! What will happen to a call, drawn at once when it arrives.
//!
//! Each call has a stream of random numbers of its own, so what one call draws never depends on
//! how far another one has come.

use std::time::Duration;

use chat4all_process::Random;

use crate::fault::FaultKind;
use crate::platform::{Platform, Stage};
use crate::settings::{Delay, Settings};

/// The longest time between a receipt and its duplicate.
const DUPLICATE_WITHIN: Duration = Duration::from_secs(2);

/// A receipt that is due some time after the call's arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlannedReceipt {
    pub stage: Stage,
    /// When it happens.
    pub after: Duration,
    /// How much later it is sent.
    pub delay: Duration,
}

/// The receipts of one accepted message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Receipts {
    pub planned: Vec<PlannedReceipt>,
    /// How many are never sent.
    pub lost: u64,
    /// The one that must be answered before the call is.
    pub early: Option<Stage>,
}

fn between(random: &Random, low: Delay, high: Delay) -> Duration {
    Duration::from_millis(random.between(low.get(), high.get()))
}

/// The time from a call's arrival to its answer.
pub(crate) fn latency(settings: &Settings, random: &Random) -> Duration {
    between(random, settings.latency_min_ms, settings.latency_max_ms)
}

/// A fault that nobody asked for, if the settings want some.
pub(crate) fn random_fault(
    settings: &Settings,
    random: &Random,
    platform: &dyn Platform,
) -> Option<FaultKind> {
    let mut roll = random.between(1, 1000);
    let mut falls_in = |per_mille: u64| {
        let inside = roll <= per_mille;
        roll -= if inside { 0 } else { per_mille };
        inside
    };
    if falls_in(settings.error_per_mille.get()) {
        let codes = platform.transient_errors();
        let last = u64::try_from(codes.len()).unwrap_or(1).saturating_sub(1);
        let n = usize::try_from(random.between(0, last)).unwrap_or(0);
        let code = codes.get(n).copied()?;
        return Some(FaultKind::Error {
            code,
            subcode: None,
            http_status: None,
            retry_after_s: None,
        });
    }
    if falls_in(settings.cut_per_mille.get()) {
        return Some(FaultKind::Cut { accept: random.chance(1, 2) });
    }
    if falls_in(settings.down_per_mille.get()) {
        return Some(FaultKind::Down);
    }
    if falls_in(settings.hang_per_mille.get()) {
        return Some(FaultKind::Hang { accept: random.chance(1, 2) });
    }
    falls_in(settings.slow_per_mille.get())
        .then(|| FaultKind::Slow { delay_ms: settings.slow_ms.get() })
}

/// The receipts of a message that is answered `answered` after its arrival.
pub(crate) fn receipts(
    settings: &Settings,
    random: &Random,
    stages: &[Stage],
    answered: Duration,
) -> Receipts {
    let delivered = answered
        + between(random, settings.delivered_after_min_ms, settings.delivered_after_max_ms);
    let read = delivered + between(random, settings.read_after_min_ms, settings.read_after_max_ms);
    let is_read = random.chance(settings.read_per_mille.get(), 1000);
    let wants_early = random.chance(settings.early_receipt_per_mille.get(), 1000);
    let mut receipts = Receipts::default();
    for &stage in stages.iter().filter(|stage| is_read || **stage != Stage::Read) {
        let mut after = match stage {
            Stage::Sent => answered,
            Stage::Delivered => delivered,
            Stage::Read => read,
        };
        if random.chance(settings.lost_receipt_per_mille.get(), 1000) {
            receipts.lost += 1;
            continue;
        }
        if wants_early && receipts.early.is_none() && stage != Stage::Sent {
            receipts.early = Some(stage);
            after = Duration::ZERO;
        }
        receipts.planned.push(PlannedReceipt { stage, after, delay: Duration::ZERO });
        if random.chance(settings.duplicate_receipt_per_mille.get(), 1000) {
            let delay = random.duration_between(Duration::ZERO, DUPLICATE_WITHIN);
            receipts.planned.push(PlannedReceipt { stage, after, delay });
        }
    }
    receipts
}

#[cfg(test)]
mod tests {
    use chat4all_process::config::Bounded;

    use super::*;
    use crate::platform::REGISTRY;

    #[test]
    fn each_random_fault_comes_as_often_as_set() {
        let settings = Settings {
            error_per_mille: Bounded::new(200),
            cut_per_mille: Bounded::new(200),
            down_per_mille: Bounded::new(200),
            hang_per_mille: Bounded::new(200),
            slow_per_mille: Bounded::new(200),
            ..Settings::default()
        };
        let random = Random::seeded(7);
        let mut counts = [0; 5];
        for _ in 0..10_000 {
            match random_fault(&settings, &random, REGISTRY[0]) {
                Some(FaultKind::Error { .. }) => counts[0] += 1,
                Some(FaultKind::Cut { .. }) => counts[1] += 1,
                Some(FaultKind::Down) => counts[2] += 1,
                Some(FaultKind::Hang { .. }) => counts[3] += 1,
                Some(FaultKind::Slow { .. }) => counts[4] += 1,
                None => panic!("1000 per mille is always"),
            }
        }
        assert!(counts.iter().all(|count| (1800..2200).contains(count)), "{counts:?}");
        let none = random_fault(&Settings::default(), &random, REGISTRY[0]);
        assert_eq!(none, None);
    }

    #[test]
    fn receipts_come_in_order_unless_trouble_is_wanted() {
        let random = Random::seeded(1);
        let answered = Duration::from_millis(300);
        let plain = receipts(&Settings::default(), &random, &Stage::ALL, answered);
        let stages: Vec<_> = plain.planned.iter().map(|receipt| receipt.stage).collect();
        assert_eq!(stages, Stage::ALL);
        assert!(plain.planned.is_sorted_by_key(|receipt| receipt.after));
        let all = Bounded::new(1000);
        let lost = Settings { lost_receipt_per_mille: all, ..Settings::default() };
        let lost = receipts(&lost, &random, &Stage::ALL, answered);
        assert_eq!((lost.planned.len(), lost.lost, lost.early), (0, 3, None));
        let early = Settings { early_receipt_per_mille: all, ..Settings::default() };
        let early = receipts(&early, &random, &Stage::ALL, answered);
        assert_eq!(early.early, Some(Stage::Delivered));
        assert_eq!(early.planned[1].after, Duration::ZERO);
        let twice = Settings { duplicate_receipt_per_mille: all, ..Settings::default() };
        assert_eq!(receipts(&twice, &random, &Stage::ALL, answered).planned.len(), 6);
    }
}
