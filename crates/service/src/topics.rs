//! Which topics a service needs: those it reads or writes, and no others. A mistake in the
//! configuration of one service's topics then stops that service alone.

use chat4all_contracts::{Platforms, topic};
use chat4all_eventlog::{TopicSpec, Topology};

/// The topics with these names, each with its dead letters.
pub fn with_dead_letters(
    topology: &Topology,
    platforms: &Platforms,
    names: &[&str],
) -> Vec<TopicSpec> {
    let is_needed = |spec: &TopicSpec| {
        names.iter().any(|name| spec.name == *name || spec.name == topic::dead_letters(name))
    };
    topology.topics(platforms).into_iter().filter(is_needed).collect()
}

/// The topics with these names.
pub fn only(topology: &Topology, platforms: &Platforms, names: &[&str]) -> Vec<TopicSpec> {
    let is_needed = |spec: &TopicSpec| names.contains(&spec.name.as_str());
    topology.topics(platforms).into_iter().filter(is_needed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::TopicSettings;

    #[test]
    fn a_service_needs_what_it_reads_or_writes() {
        let topology = TopicSettings::default().topology();
        let names = |specs: Vec<TopicSpec>| {
            let mut names: Vec<String> = specs.into_iter().map(|spec| spec.name).collect();
            names.sort();
            names
        };
        let none = Platforms::default();
        assert_eq!(names(only(&topology, &none, &[topic::INBOUND])), ["inbound"]);
        let both = with_dead_letters(&topology, &none, &[topic::MESSAGES]);
        assert_eq!(names(both), ["messages", "messages-dead-letters"]);
    }
}
