//! What a member of a group holds, as gauges: partitions read, partitions stopped, and the age of
//! the oldest record that is not done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chat4all_contracts::EpochMs;
use chat4all_process::metric::Metric;

use crate::consumer::TopicPartition;

/// How often the gauges are set. Whoever looks at them looks less often.
const EVERY: Duration = Duration::from_secs(1);

/// The gauges of one membership. They are 0 from the start, and 0 again once it is dropped.
#[derive(Debug)]
pub struct GroupGauges {
    service: &'static str,
    group: String,
    topics: Vec<String>,
    stopped: BTreeSet<TopicPartition>,
    /// When they were set last.
    set_at: Option<EpochMs>,
}

/// The figures of one topic.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Figures {
    assigned: usize,
    stopped: usize,
    oldest: Option<EpochMs>,
}

impl GroupGauges {
    /// The gauges of a membership that holds nothing yet.
    pub fn new<'a>(
        service: &'static str,
        group: &str,
        topics: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let topics = topics.into_iter().map(str::to_owned).collect();
        let (group, stopped, set_at) = (group.to_owned(), BTreeSet::new(), None);
        let gauges = Self { service, group, topics, stopped, set_at };
        gauges.set(EpochMs::saturating(0), []);
        gauges
    }

    /// A partition is ours and cannot be read.
    pub fn stopped(&mut self, at: TopicPartition) {
        self.stopped.insert(at);
    }

    /// A partition is read again, or no longer ours.
    pub fn not_stopped(&mut self, at: &TopicPartition) {
        self.stopped.remove(at);
    }

    /// Shows what is held, at most once a second: each partition with the time of its oldest record
    /// that is not done.
    pub fn report<'a>(
        &mut self,
        now: EpochMs,
        held: impl IntoIterator<Item = (&'a TopicPartition, Option<EpochMs>)>,
    ) {
        // A clock that was set back must not silence the gauges.
        if self.set_at.is_none_or(|at| now < at || now.since(at) >= EVERY) {
            self.set_at = Some(now);
            self.set(now, held);
        }
    }

    fn set<'a>(
        &self,
        now: EpochMs,
        held: impl IntoIterator<Item = (&'a TopicPartition, Option<EpochMs>)>,
    ) {
        for (topic, figures) in self.figures(held) {
            let (service, labels) = (self.service, [self.group.as_str(), topic]);
            Metric::PartitionsAssigned.set(service, &labels, figures.assigned as f64);
            Metric::PartitionsStopped.set(service, &labels, figures.stopped as f64);
            let age = figures.oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
            Metric::OldestUnfinished.set(service, &[topic], age);
        }
    }

    fn figures<'a>(
        &self,
        held: impl IntoIterator<Item = (&'a TopicPartition, Option<EpochMs>)>,
    ) -> BTreeMap<&str, Figures> {
        let topics = self.topics.iter();
        let mut figures: BTreeMap<&str, Figures> =
            topics.map(|topic| (topic.as_str(), Figures::default())).collect();
        for (at, oldest) in held {
            let Some(of_topic) = figures.get_mut(&*at.topic) else { continue };
            of_topic.assigned += usize::from(!self.stopped.contains(at));
            of_topic.oldest = of_topic.oldest.into_iter().chain(oldest).min();
        }
        for at in &self.stopped {
            if let Some(of_topic) = figures.get_mut(&*at.topic) {
                of_topic.stopped += 1;
            }
        }
        figures
    }
}

impl Drop for GroupGauges {
    fn drop(&mut self) {
        self.stopped.clear();
        self.set(EpochMs::saturating(0), []);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_read_or_stopped_and_the_oldest_record_counts() {
        let mut gauges = GroupGauges::new("test", "group", ["a", "b"]);
        let [first, second, third] = [0, 1, 2].map(|number| TopicPartition::new("a", number));
        gauges.stopped(second.clone());
        gauges.stopped(third.clone());
        gauges.not_stopped(&third);
        let at = |ms| Some(EpochMs::saturating(ms));
        let held = [(&first, at(20)), (&second, at(10)), (&third, None)];
        let figures = gauges.figures(held);
        assert_eq!(figures["a"], Figures { assigned: 2, stopped: 1, oldest: at(10) });
        assert_eq!(figures["b"], Figures::default());
    }

    #[test]
    fn gauges_are_set_once_a_second_whatever_the_clock_does() {
        let mut gauges = GroupGauges::new("test", "group", ["a"]);
        for (now, set) in [(5_000, 5_000), (5_999, 5_000), (6_000, 6_000), (1_000, 1_000)] {
            gauges.report(EpochMs::saturating(now), []);
            assert_eq!(gauges.set_at, Some(EpochMs::saturating(set)));
        }
    }
}
