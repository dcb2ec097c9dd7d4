//! What an existing topic must satisfy.

use crate::{Cleanup, LogError, Placement, TopicSpec};

/// Refuses a topic that exists (with `present` partitions) otherwise than it is asked for.
pub(crate) fn check_topic(spec: &TopicSpec, present: Option<u32>) -> Result<(), LogError> {
    let mismatch = |rule: String| LogError::TopicMismatch { topic: spec.name.clone(), rule };
    match present {
        _ if spec.partitions == 0 => Err(mismatch("must have at least 1 partition".to_owned())),
        _ if spec.placement == Placement::Named => Ok(()),
        Some(present) if present != spec.partitions => Err(mismatch(format!(
            "has {present} partitions and must have {}; its keys would move: set the configured \
             count to {present}, or begin with an empty log",
            spec.partitions
        ))),
        _ => Ok(()),
    }
}

/// Refuses a topic whose old records are dealt with otherwise than it is asked for.
pub(crate) fn check_cleanup(spec: &TopicSpec, present: Option<Cleanup>) -> Result<(), LogError> {
    if present.is_none_or(|present| present == spec.cleanup) {
        return Ok(());
    }
    let rule = match spec.cleanup {
        Cleanup::Compact => "has old records deleted and must keep the newest of each key",
        Cleanup::Delete => "keeps only the newest record of each key and must keep them all",
    };
    let rule = format!("{rule}: begin with an empty log");
    Err(LogError::TopicMismatch { topic: spec.name.clone(), rule })
}
