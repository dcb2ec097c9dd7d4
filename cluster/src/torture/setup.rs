//! How the installation of a run is configured.

use super::deck::PLATFORMS;
use crate::harness::Config;

/// A message in doubt on a platform that reports doubt is settled when its life ends: so long, in
/// seconds.
pub const LIFETIME_S: u64 = 120;
/// After which the reconciler waits this long, in seconds: the least that is allowed.
pub const GRACE_S: u64 = 60;
/// The ids of accounts at their platforms, with the number of the account behind it.
const IDS: [(&str, usize, &str); 2] = [("whatsapp", 3, "10001000"), ("instagram", 2, "20002000")];

/// Which platform reports calls in doubt, instead of repeating them: one with receipts, which
/// settle them, or one without.
pub fn reporter(seed: u64) -> &'static str {
    PLATFORMS[usize::from(seed % 2 == 1)]
}

/// The id of an account at its platform.
pub fn id_of(platform: &str, number: usize) -> String {
    let ids = IDS.iter().find(|(name, ..)| *name == platform);
    let (count, prefix) = ids.map_or((1, ""), |(_, count, prefix)| (*count, *prefix));
    format!("{prefix}{}", number % count)
}

/// The ids of all accounts there.
pub fn ids_of(platform: &str) -> Vec<String> {
    let count = IDS.iter().find(|(name, ..)| *name == platform).map_or(0, |(_, count, _)| *count);
    (0..count).map(|number| id_of(platform, number)).collect()
}

/// Accounts of both platforms, quick to fail and quick to try again, so that much happens in a few
/// minutes. Receipts are lost, early and doubled.
pub fn config(seed: u64) -> Config {
    let counts: Vec<(&'static str, usize)> =
        IDS.iter().map(|(name, count, _)| (*name, *count)).collect();
    let mut config = Config::new(&counts);
    let numbers: Vec<(&'static str, usize, String)> = PLATFORMS
        .iter()
        .flat_map(|platform| {
            let names = config.accounts.iter().filter(move |it| it.platform == *platform);
            names.enumerate().map(move |(number, it)| (*platform, number, it.name.clone()))
        })
        .collect();
    for (platform, number, name) in numbers {
        let key = format!("connectors.{platform}.api.accounts.{name}.id");
        config = config.text(&key, &id_of(platform, number));
    }
    for platform in PLATFORMS {
        let policy = |name: &str| format!("connectors.{platform}.policy.{name}");
        config = config
            .set(&policy("max_attempts"), 50)
            .set(&policy("retry_longest_ms"), 3_000)
            .set(&policy("breaker_longest_ms"), 3_000)
            .set(&policy("refused_account_pause_ms"), 2_000)
            .set(&policy("recipient_pause_longest_ms"), 8_000);
    }
    config
        .text(&format!("connectors.{}.policy.in_doubt", reporter(seed)), "report")
        .set("status_consumer.reconcile_grace_s", GRACE_S)
        .set("status_consumer.reconcile_interval_s", 5)
        .set("simulation.simulator.read_per_mille", 300)
        .set("simulation.simulator.early_receipt_per_mille", 50)
        .set("simulation.simulator.duplicate_receipt_per_mille", 50)
        .set("simulation.simulator.lost_receipt_per_mille", 30)
}
