//! One account is dead for an hour, with 100,000 messages behind it. The others do not notice; when
//! it comes back everything is delivered, in order, and not all at once.

use std::sync::Arc;
use std::time::Duration;

use super::light_platform::LightPlatform;
use super::play::{Play, p99, simulated};

const HOUR: u64 = 3_600;
const MESSAGES: u64 = 100_000;
const DAY: Duration = Duration::from_secs(86_400);
/// Calls a second that the configuration allows.
const PACE: usize = 80;

struct Hour {
    platform: Arc<LightPlatform>,
    /// The p99 of the other accounts.
    others: Duration,
    words: String,
}

pub fn play() -> Result<String, String> {
    let with = std::thread::spawn(|| one_hour(true));
    let without = one_hour(false)?;
    let with = with.join().map_err(|_| "it panicked".to_owned())??;
    let (quiet, troubled) = (without.others, with.others);
    if troubled > quiet + quiet / 10 {
        return Err(format!("the others' p99 is {troubled:?}, without the dead account {quiet:?}"));
    }
    check_return(&with.platform)?;
    if with.words != format!("{} SENT", MESSAGES + 4 * HOUR) {
        return Err(format!("not everything was sent: {}", with.words));
    }
    let seen = with.platform.seen.lock().unwrap();
    match seen.out_of_order.first() {
        Some(first) => Err(format!("out of order: {first}")),
        None => Ok(format!(
            "{}; the others' p99 {} ms, without the dead account {} ms",
            with.words,
            troubled.as_millis(),
            quiet.as_millis()
        )),
    }
}

/// An hour in which two accounts send two messages a second each and, if `troubled`, a third one
/// that is dead 100,000 more.
fn one_hour(troubled: bool) -> Result<Hour, String> {
    simulated(async {
        let mut play = Play::new();
        let dead = account_id(&play, "default");
        let hour = Duration::from_secs(HOUR);
        let platform =
            LightPlatform::new(play.random.fork(), Some((dead.clone(), Duration::ZERO, hour)));
        let feed = async |play: &mut Play, second: u64| {
            if second >= HOUR {
                return true;
            }
            for account in ["second", "third"] {
                for of in 0..2 {
                    let conversation = format!("{account}-{}", (second * 2 + of) % 200);
                    play.feed(account, &conversation, DAY).await;
                }
            }
            let behind = if troubled { MESSAGES } else { 0 };
            for n in behind * second / HOUR..behind * (second + 1) / HOUR {
                play.feed("default", &format!("dead-{}", n % 1_000), DAY).await;
            }
            false
        };
        play.run(platform.clone(), feed).await?;
        let mut others: Vec<Duration> = {
            let seen = platform.seen.lock().unwrap();
            seen.took
                .iter()
                .filter(|(id, _)| **id != dead)
                .flat_map(|(_, took)| took.clone())
                .collect()
        };
        let words = play.reported.words();
        Ok(Hour { platform, others: p99(&mut others), words })
    })
}

/// The account's id in the API's addresses.
fn account_id(play: &Play, account: &str) -> String {
    let connector = play.installation.served.iter().next_back().map(|(_, served)| served);
    let served = connector.unwrap();
    let name = chat4all_contracts::AccountName::new(account).unwrap();
    let text = concat!(
        r#"{"message_id":"m","conversation_id":"c","sender_id":"s","#,
        r#""receiver_id":"whatsapp:+5511999990000","content":"t"}"#
    );
    let now = chat4all_contracts::EpochMs::saturating(0);
    let message = chat4all_contracts::Message::parse(text.as_bytes(), now).unwrap();
    let request = served.platform.encode(&name, &message).unwrap();
    request.uri().path().rsplit('/').nth(1).unwrap().to_owned()
}

/// When it comes back, calls rise step by step and never go over the pace.
fn check_return(platform: &LightPlatform) -> Result<(), String> {
    let seen = platform.seen.lock().unwrap();
    let mut taken: Vec<Duration> = Vec::new();
    for calls in seen.calls.values() {
        if calls.iter().any(|(_, ok)| !ok) {
            taken.extend(calls.iter().filter(|(_, ok)| *ok).map(|(at, _)| *at));
        }
    }
    taken.sort_unstable();
    let Some(first) = taken.first().copied() else { return Err("it never came back".to_owned()) };
    let within = |from: Duration, to: Duration| {
        taken.iter().filter(|at| (first + from..first + to).contains(at)).count()
    };
    let ms = Duration::from_millis;
    // One probe, then two at once, then twice as many with every round of at least 200 ms.
    let start = within(Duration::ZERO, ms(600));
    if start > 15 {
        return Err(format!("{start} calls ended in the first 600 ms"));
    }
    let most = (0..600).map(|s| within(Duration::from_secs(s), Duration::from_secs(s + 1))).max();
    let most = most.unwrap_or(0);
    // What starts within a second ends within 1.3 s, as latencies differ.
    if most > PACE * 14 / 10 {
        return Err(format!("{most} calls ended in one second, {PACE} may start"));
    }
    Ok(())
}
