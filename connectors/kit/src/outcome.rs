//! What follows an outcome: the table of the whole retry policy, without any machinery.

use std::time::Duration;

use chat4all_contracts::mutant::{self, Mutant};
use chat4all_contracts::{ExternalId, Reason};
use tokio::time::Instant;

use crate::platform::{Detail, Outcome};
use crate::settings::{InDoubtPolicy, KitSettings};

/// What a gateway answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// A call was made.
    Outcome {
        /// What became of it.
        outcome: Outcome,
        /// Whether it probed a platform that was known to fail.
        probe: bool,
    },
    /// No call was made: the message's life had ended.
    Expired,
    /// No call was made: the partition is going away.
    NotStarted,
    /// No call was made: the gateway is gone and will be replaced.
    GatewayLost,
}

/// What a message has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Calls that count as attempts.
    pub made: u32,
    /// How many of them may have been accepted without our knowing.
    pub in_doubt: u32,
    /// When the first of them ended.
    pub since: Option<Instant>,
}

impl Tries {
    /// Whether the platform may have the message already.
    pub fn possibly_accepted(&self) -> bool {
        self.in_doubt > 0
    }

    fn count(&mut self, now: Instant) {
        self.made += 1;
        self.since.get_or_insert(now);
    }

    /// Whether another attempt would be one too many, or come too late.
    fn are_used_up(&self, settings: &KitSettings, now: Instant) -> bool {
        let age = self.since.map_or(Duration::ZERO, |since| now.duration_since(since));
        u64::from(self.made) >= settings.max_attempts.get() || age >= settings.max_age_ms.ms()
    }
}

/// What to do with the first message of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Done: the platform has it.
    Accepted(ExternalId),
    /// Done: it will not be delivered.
    Failed(Reason, Detail),
    /// Done as far as we can: a receipt, or the end of its life, settles it.
    Unknown(Detail),
    /// Give it to the gateway again: the gateway knows when.
    Again,
    /// The same, after a fixed wait of its lane.
    AgainAfter(Duration),
    /// The same, after the next wait of its backoff, and at least so long.
    AgainAfterBackoff(Option<Duration>),
    /// The same, unless a receipt comes before.
    AgainUnlessReceipt(Duration),
    /// Nothing: the partition is going away.
    Stay,
}

impl Next {
    /// Every [`Next::word`].
    pub const WORDS: [&str; 8] = [
        "accepted",
        "failed",
        "unknown",
        "again",
        "again_after",
        "again_after_backoff",
        "again_unless_receipt",
        "stay",
    ];

    /// The branch of the table, in metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Failed(..) => "failed",
            Self::Unknown(_) => "unknown",
            Self::Again => "again",
            Self::AgainAfter(_) => "again_after",
            Self::AgainAfterBackoff(_) => "again_after_backoff",
            Self::AgainUnlessReceipt(_) => "again_unless_receipt",
            Self::Stay => "stay",
        }
    }
}

/// How long a gateway's replacement is waited for before it is asked.
const GATEWAY_RESTART: Duration = Duration::from_millis(100);

/// The table. Only outcomes that say something about the message count as attempts.
pub fn next_step(
    tries: &mut Tries,
    result: CallResult,
    settings: &KitSettings,
    now: Instant,
) -> Next {
    let (outcome, probe) = match result {
        CallResult::NotStarted => return Next::Stay,
        CallResult::GatewayLost => return Next::AgainAfter(GATEWAY_RESTART),
        CallResult::Expired => {
            return give_up(tries, Reason::Expired, Detail::new("its life ended"));
        }
        CallResult::Outcome { outcome, probe } => (outcome, probe),
    };
    match outcome {
        Outcome::Accepted { external_id } => {
            tries.count(now);
            Next::Accepted(external_id)
        }
        Outcome::Permanent { reason, detail, .. } => {
            tries.count(now);
            Next::Failed(reason, detail)
        }
        // An outage is no fault of the message that finds out whether it is over (I4).
        Outcome::Retryable { .. } if probe && !mutant::is_on(Mutant::CountsProbes) => Next::Again,
        Outcome::Retryable { after, detail } => {
            tries.count(now);
            if tries.are_used_up(settings, now) {
                return give_up(tries, Reason::Exhausted, detail);
            }
            Next::AgainAfterBackoff(after)
        }
        Outcome::InDoubt { detail } => {
            tries.count(now);
            tries.in_doubt += 1;
            if settings.in_doubt == InDoubtPolicy::Report {
                return Next::Unknown(detail);
            }
            if tries.are_used_up(settings, now) {
                return give_up(tries, Reason::Exhausted, detail);
            }
            Next::AgainUnlessReceipt(settings.in_doubt_wait(tries.in_doubt))
        }
        // The gateway knows when an account, or a receiver, may be called again.
        Outcome::Throttled { .. } | Outcome::Account { .. } => Next::Again,
    }
}

/// A message that may have been accepted is never said to have simply expired.
fn give_up(tries: &Tries, reason: Reason, detail: Detail) -> Next {
    let reason = if tries.possibly_accepted() { Reason::InDoubt } else { reason };
    Next::Failed(reason, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::ThrottleScope;

    fn step(tries: &mut Tries, outcome: Outcome) -> Next {
        step_with(&KitSettings::default(), tries, outcome)
    }

    fn step_with(settings: &KitSettings, tries: &mut Tries, outcome: Outcome) -> Next {
        let result = CallResult::Outcome { outcome, probe: false };
        next_step(tries, result, settings, Instant::now())
    }

    fn detail() -> Detail {
        Detail::new("131000")
    }

    fn retryable() -> Outcome {
        Outcome::Retryable { after: None, detail: detail() }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_attempt_is_the_last() {
        let mut tries = Tries::default();
        for _ in 1..8 {
            assert_eq!(step(&mut tries, retryable()), Next::AgainAfterBackoff(None));
        }
        assert_eq!(step(&mut tries, retryable()), Next::Failed(Reason::Exhausted, detail()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_has_been_tried_for_too_long_is_given_up() {
        let mut tries = Tries::default();
        assert_eq!(step(&mut tries, retryable()), Next::AgainAfterBackoff(None));
        tokio::time::advance(KitSettings::default().max_age_ms.ms()).await;
        assert_eq!(step(&mut tries, retryable()), Next::Failed(Reason::Exhausted, detail()));
    }

    #[tokio::test(start_paused = true)]
    async fn how_long_the_platform_wants_us_to_wait_is_honoured() {
        let after = Some(Duration::from_secs(77));
        let outcome = Outcome::Retryable { after, detail: detail() };
        assert_eq!(step(&mut Tries::default(), outcome), Next::AgainAfterBackoff(after));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_of_a_failing_platform_is_no_attempt() {
        let mut tries = Tries::default();
        let result = CallResult::Outcome { outcome: retryable(), probe: true };
        let next = next_step(&mut tries, result, &KitSettings::default(), Instant::now());
        assert_eq!((next, tries), (Next::Again, Tries::default()));
    }

    #[tokio::test(start_paused = true)]
    async fn throttles_and_refused_accounts_are_no_attempts() {
        let mut tries = Tries::default();
        for scope in [ThrottleScope::Account, ThrottleScope::Recipient] {
            let after = Some(Duration::from_secs(4));
            let next = step(&mut tries, Outcome::Throttled { after, scope, detail: detail() });
            assert_eq!(next, Next::Again);
        }
        assert_eq!(step(&mut tries, Outcome::Account { detail: detail() }), Next::Again);
        assert_eq!(tries, Tries::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_in_doubt_waits_for_a_receipt_and_never_simply_expires() {
        let mut tries = Tries::default();
        let settings = KitSettings::default();
        let now = Instant::now();
        let expired = next_step(&mut tries, CallResult::Expired, &settings, now);
        assert!(matches!(expired, Next::Failed(Reason::Expired, _)));
        for wait in [10, 20, 40, 60, 60] {
            let next = step(&mut tries, Outcome::InDoubt { detail: detail() });
            assert_eq!(next, Next::AgainUnlessReceipt(Duration::from_secs(wait)));
        }
        let expired = next_step(&mut tries, CallResult::Expired, &settings, now);
        assert!(matches!(expired, Next::Failed(Reason::InDoubt, _)));
    }

    #[tokio::test(start_paused = true)]
    async fn where_at_most_once_is_wanted_a_call_in_doubt_is_the_last() {
        let settings = KitSettings { in_doubt: InDoubtPolicy::Report, ..KitSettings::default() };
        let mut tries = Tries::default();
        let next = step_with(&settings, &mut tries, Outcome::InDoubt { detail: detail() });
        assert_eq!(next, Next::Unknown(detail()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_that_goes_away_decides_nothing() {
        let mut tries = Tries::default();
        let settings = KitSettings::default();
        let next = next_step(&mut tries, CallResult::NotStarted, &settings, Instant::now());
        assert_eq!((next, tries), (Next::Stay, Tries::default()));
    }
}
