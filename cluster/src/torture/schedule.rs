//! What goes wrong, and when: a function of the seed and the length of a run, and of nothing else.
//!
//! Three lanes run beside each other: processes and servers, the platforms, the network. Within the
//! first one an act begins when its time has come and the one before is over and recovered from.

use std::time::Duration;

use chat4all_process::Random;

use super::act::{Act, Lane};
use super::deck;

/// Nothing new begins this close to the end.
const LAST: Duration = Duration::from_secs(15);

/// An act with its time, from the begin of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Duration,
    /// What.
    pub act: Act,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    lanes: [(Lane, Vec<Step>); 3],
}

impl Schedule {
    /// The schedule of a seed.
    pub fn new(seed: u64, length: Duration) -> Self {
        let random = Random::seeded(seed);
        let until = length.saturating_sub(LAST);
        // Each lane has a stream of its own, so that a change of one leaves the others alone.
        Self {
            lanes: [
                (Lane::Processes, deck::processes(&random.fork(), until)),
                (Lane::Platforms, deck::platforms(&random.fork(), until)),
                (Lane::Network, deck::network(&random.fork(), until)),
            ],
        }
    }

    /// What happens in a lane, in its order.
    pub fn lane(&self, lane: Lane) -> Vec<Step> {
        let found = self.lanes.iter().find(|(name, _)| *name == lane);
        found.map(|(_, steps)| steps.clone()).unwrap_or_default()
    }

    /// Everything, in the order of its time.
    pub fn steps(&self) -> Vec<(Lane, Step)> {
        let lanes = self.lanes.iter();
        let all = lanes.flat_map(|(lane, steps)| steps.iter().map(|step| (*lane, step.clone())));
        let mut all: Vec<(Lane, Step)> = all.collect();
        all.sort_by_key(|(lane, step)| (step.at, *lane));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::torture::act::MOST_INSTANCES;

    const LANES: [Lane; 3] = [Lane::Processes, Lane::Platforms, Lane::Network];

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn half_an_hour_has_every_kind_of_act_but_freezes_past_a_session_several_times() {
        let schedule = Schedule::new(7, minutes(30));
        let count = |kind: &str| {
            schedule.steps().iter().filter(|(_, step)| step.act.kind() == kind).count()
        };
        let kinds: BTreeSet<String> =
            schedule.steps().iter().map(|(_, step)| step.act.kind()).collect();
        assert!(kinds.len() > 30, "{kinds:#?}");
        for kind in kinds.iter().filter(|kind| !kind.contains("past its session")) {
            assert!(count(kind) >= 2, "{kind}: {}", count(kind));
        }
    }

    #[test]
    fn what_a_seed_does_is_known() {
        let text: Vec<String> = Schedule::new(1, minutes(1))
            .steps()
            .iter()
            .map(|(lane, step)| format!("{:>6.1} {lane} {}", step.at.as_secs_f64(), step.act))
            .collect();
        let again: Vec<String> = Schedule::new(1, minutes(1))
            .steps()
            .iter()
            .map(|(lane, step)| format!("{:>6.1} {lane} {}", step.at.as_secs_f64(), step.act))
            .collect();
        assert_eq!(text, again);
        assert!(text.len() > 10, "{text:#?}");
    }

    proptest! {
        #[test]
        fn a_seed_and_a_length_give_one_schedule(seed: u64, length in 1_u64..120) {
            prop_assert_eq!(
                Schedule::new(seed, minutes(length)), Schedule::new(seed, minutes(length))
            );
        }

        #[test]
        fn a_longer_run_begins_as_a_shorter_one(seed: u64, length in 1_u64..30) {
            for lane in LANES {
                let short = Schedule::new(seed, minutes(length)).lane(lane);
                let long = Schedule::new(seed, minutes(length + 1)).lane(lane);
                prop_assert_eq!(&short[..], &long[..short.len()]);
            }
        }

        #[test]
        fn acts_come_in_order_within_the_time(seed: u64, length in 1_u64..60) {
            let schedule = Schedule::new(seed, minutes(length));
            for lane in LANES {
                let steps = schedule.lane(lane);
                prop_assert!(steps.is_sorted_by_key(|step| step.at));
                prop_assert!(steps.iter().all(|step| step.at + LAST <= minutes(length)));
            }
        }

        #[test]
        fn there_are_never_too_many_instances_and_scaling_changes_something(seed: u64) {
            let mut counts = std::collections::BTreeMap::new();
            for Step { act, .. } in Schedule::new(seed, minutes(60)).lane(Lane::Processes) {
                if let Act::Scale { role, to, .. } = act {
                    let before = counts.insert(role, to).unwrap_or(1);
                    prop_assert!(before != to && (1..=MOST_INSTANCES).contains(&to));
                }
            }
        }
    }
}
