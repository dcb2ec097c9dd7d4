//! A platform is away for six hours, under load. Nothing is lost, only what expired fails, probes
//! are few, and what has gathered leaves at the pace.

use std::time::Duration;

use super::light_platform::LightPlatform;
use super::play::{Play, simulated};

const HOURS: u64 = 6;
const SECONDS: u64 = HOURS * 3_600;
const DAY: Duration = Duration::from_secs(86_400);
/// Every tenth message lives this long.
const SHORT: Duration = Duration::from_secs(1_800);
/// Between two probes lie at least half of the longest time that a breaker stays open, a minute.
const PROBES: usize = SECONDS as usize / 30 + 40;
const PACE: usize = 80;

pub fn play() -> Result<String, String> {
    simulated(async {
        let mut play = Play::new();
        let (from, until) = (Duration::from_secs(600), Duration::from_secs(600 + SECONDS));
        let dead = Some(("all".to_owned(), from, until));
        let platform = LightPlatform::new(play.random.fork(), dead);
        let feed = async |play: &mut Play, second: u64| {
            if second >= SECONDS + 1_200 {
                return true;
            }
            for account in ["second", "third"] {
                let life = if second.is_multiple_of(10) { SHORT } else { DAY };
                let of = if second.is_multiple_of(10) { "short" } else { "long" };
                let conversation = format!("{account}-{of}-{}", second % 97);
                play.feed(account, &conversation, life).await;
            }
            false
        };
        play.run(platform.clone(), feed).await?;
        let seen = platform.seen.lock().unwrap();
        let (sent, expired) = (play.reported.count("SENT"), play.reported.count("FAILED expired"));
        if sent + expired != play.reported.all() {
            return Err(format!("something failed otherwise: {}", play.reported.words()));
        }
        if let Some(first) = seen.out_of_order.first() {
            return Err(format!("out of order: {first}"));
        }
        let mut probes = 0;
        for (account, calls) in &seen.calls {
            let during = calls.iter().filter(|(at, _)| (from..until).contains(at)).count();
            if during > PROBES {
                return Err(format!("{during} calls of {account} while it was away"));
            }
            probes = probes.max(during);
            let after = |second: u64| {
                let from = until + Duration::from_secs(second);
                let end = from + Duration::from_secs(1);
                calls.iter().filter(|(at, _)| (from..end).contains(at)).count()
            };
            let most = (0..1_000).map(after).max().unwrap_or(0);
            if most > PACE * 14 / 10 {
                return Err(format!(
                    "{most} calls of {account} ended in one second, {PACE} may start"
                ));
            }
        }
        Ok(format!("{sent} sent, {expired} expired, 0 lost; at most {probes} probes of an account"))
    })
}
