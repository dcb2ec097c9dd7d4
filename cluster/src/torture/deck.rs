//! Acts are dealt like cards: each kind comes once before any comes twice, in an order and with
//! details that the seed decides.

use std::collections::BTreeMap;
use std::time::Duration;

use chat4all_process::Random;

use super::act::{Act, Harm, MOST_INSTANCES, Trouble, Way};
use super::schedule::Step;
use crate::harness::{Role, Server};

/// The platforms of a run.
pub const PLATFORMS: [&str; 2] = ["whatsapp", "instagram"];
/// Messages flow undisturbed before the first act.
const BEGIN: Duration = Duration::from_secs(5);
/// More calls than there are.
const ALL_CALLS: u64 = 1_000_000;

fn ms(random: &Random, low: u64, high: u64) -> Duration {
    Duration::from_millis(random.between(low, high))
}

fn index(random: &Random, of: usize) -> usize {
    let last = u64::try_from(of.saturating_sub(1)).unwrap_or(0);
    usize::try_from(random.between(0, last)).unwrap_or(0)
}

fn shuffled<T>(random: &Random, mut cards: Vec<T>) -> Vec<T> {
    for last in (1..cards.len()).rev() {
        cards.swap(last, index(random, last + 1));
    }
    cards
}

/// Deals decks until the time is over. `gap` is the time from one card's begin to the next one's.
fn deal(
    random: &Random,
    until: Duration,
    deck: impl Fn(&Random) -> Vec<Act>,
    gap: impl Fn(&Random, &Act) -> Duration,
) -> Vec<Step> {
    let (mut at, mut steps) = (BEGIN, Vec::new());
    while at < until {
        for act in shuffled(random, deck(random)) {
            let next = at + gap(random, &act);
            if at < until {
                steps.push(Step { at, act });
            }
            at = next;
        }
    }
    steps
}

/// Services and servers.
pub fn processes(random: &Random, until: Duration) -> Vec<Step> {
    let gap = |random: &Random, act: &Act| ms(random, 500, 3_000) + usual(act);
    let mut steps = deal(random, until, deck_of_processes, gap);
    // Whether a card scales out or in depends on those before it.
    let mut counts: BTreeMap<Role, usize> = BTreeMap::new();
    for Step { act, .. } in &mut steps {
        if let Act::Scale { role, to, .. } = act {
            let count = counts.entry(*role).or_insert(1);
            *to = if *count == 1 { *to } else { 1 };
            *count = *to;
        }
    }
    steps
}

/// What an act takes, with its recovery, on two busy cores. It only spreads the acts.
fn usual(act: &Act) -> Duration {
    let seconds = |seconds| Duration::from_secs(seconds);
    match act {
        Act::Kill { role: Role::Api | Role::Simulator, away, .. } => seconds(1) + *away,
        Act::Kill { away, .. } => seconds(14) + *away,
        Act::KillAll { away } => seconds(16) + *away,
        Act::Restart { .. } => seconds(4),
        Act::Freeze { lasting, .. } => seconds(3) + *lasting,
        Act::Scale { hard: true, to: 1, .. } => seconds(14),
        Act::Scale { .. } => seconds(4),
        Act::KillServer { away, .. } => seconds(12) + *away,
        Act::FreezeServer { lasting, .. } => seconds(4) + *lasting,
        Act::Platform { .. } | Act::Network { .. } => Duration::ZERO,
    }
}

fn deck_of_processes(random: &Random) -> Vec<Act> {
    let which = || index(random, MOST_INSTANCES);
    let mut deck = Vec::new();
    for role in Role::SERVICES {
        deck.push(Act::Kill { role, which: which(), away: away(random) });
        deck.push(Act::Restart { role, which: which() });
        deck.push(Act::Freeze { role, which: which(), lasting: ms(random, 1_000, 5_000) });
        for _ in 0..2 {
            let to = 2 + index(random, MOST_INSTANCES - 1);
            deck.push(Act::Scale { role, to, hard: random.chance(1, 3) });
        }
    }
    let readers = [
        Role::Router,
        Role::StatusConsumer,
        Role::Connector(PLATFORMS[0]),
        Role::Connector(PLATFORMS[1]),
    ];
    let role = readers[index(random, readers.len())];
    deck.push(Act::Freeze { role, which: which(), lasting: ms(random, 14_000, 18_000) });
    deck.push(Act::Kill { role: Role::Simulator, which: 0, away: away(random) });
    let lasting = ms(random, 1_000, 8_000);
    deck.push(Act::Freeze { role: Role::Simulator, which: 0, lasting });
    deck.push(Act::KillAll { away: away(random) });
    for server in [Server::Kafka, Server::Cassandra] {
        deck.push(Act::KillServer { server, away: ms(random, 2_000, 15_000) });
        deck.push(Act::FreezeServer { server, lasting: ms(random, 2_000, 8_000) });
    }
    deck
}

/// Half of what ends starts again at once.
fn away(random: &Random) -> Duration {
    if random.chance(1, 2) { Duration::ZERO } else { ms(random, 500, 4_000) }
}

/// What platforms answer.
pub fn platforms(random: &Random, until: Duration) -> Vec<Step> {
    deal(random, until, deck_of_troubles, |random, _| ms(random, 2_000, 8_000))
}

fn deck_of_troubles(random: &Random) -> Vec<Act> {
    let few = |most| random.between(1, most);
    let slow = Trouble::Slow(ms(random, 500, 8_000));
    let troubles = [
        (Trouble::Down, ALL_CALLS),
        (Trouble::Down, few(8)),
        (Trouble::Error, few(40)),
        (Trouble::Throttle, few(5)),
        (Trouble::Refuse, few(3)),
        (slow, few(60)),
        (Trouble::Hang { taken: true }, few(10)),
        (Trouble::Hang { taken: false }, few(10)),
        (Trouble::Cut { taken: true }, few(20)),
        (Trouble::Cut { taken: false }, few(20)),
    ];
    let act = |(trouble, calls)| {
        let platform = PLATFORMS[index(random, PLATFORMS.len())];
        let account = random.chance(1, 2).then(|| index(random, 8));
        let lasting = ms(random, 3_000, 15_000);
        Act::Platform { platform, account, trouble, calls, lasting }
    };
    troubles.into_iter().map(act).collect()
}

/// Wires.
pub fn network(random: &Random, until: Duration) -> Vec<Step> {
    deal(random, until, deck_of_harms, |random, act| match act {
        Act::Network { lasting, .. } => *lasting + ms(random, 1_000, 6_000),
        _ => Duration::ZERO,
    })
}

fn deck_of_harms(random: &Random) -> Vec<Act> {
    let ways = [
        Way::Api,
        Way::Log,
        Way::Store,
        Way::Calls(PLATFORMS[0]),
        Way::Calls(PLATFORMS[1]),
        Way::Receipts(PLATFORMS[0]),
        Way::Receipts(PLATFORMS[1]),
    ];
    let mut deck = Vec::new();
    for way in ways {
        let slow = Harm::Slow(ms(random, 20, 400));
        for harm in [slow, Harm::Stuck, Harm::Deaf, Harm::Cut, Harm::Reset] {
            let lasting = match harm {
                Harm::Reset => Duration::ZERO,
                Harm::Slow(_) => ms(random, 2_000, 10_000),
                // Shorter than a session: nobody loses its partitions.
                _ if way == Way::Log => ms(random, 500, 3_000),
                _ => ms(random, 500, 6_000),
            };
            deck.push(Act::Network { way, harm, lasting });
        }
    }
    deck
}
