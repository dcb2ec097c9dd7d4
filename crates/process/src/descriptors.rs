//! The limit of open files: every call under way is a connection, and so a descriptor.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one and returns it; `None` = unlimited.
pub fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            tracing::warn!(%error, "the limit of open files could not be raised");
            return limit.current;
        }
    }
    limit.maximum
}

/// What a process may have open beside its calls: probes and webhooks that are being answered, the
/// clients of the log and the store, files.
pub const RESERVE: u64 = 512;

/// The most calls that a process has under way, each over a connection of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallBudget {
    /// How many.
    pub calls: u64,
    /// The keys that allow so many, for people.
    pub keys: String,
}

impl CallBudget {
    /// What to tell the operator if `limit`, that of [`raise_limit`], does not suffice. The calls
    /// beyond it would find no connection, which looks as if the platform were away.
    pub fn warning(&self, limit: Option<u64>) -> Option<String> {
        let Self { calls, keys } = self;
        let (limit, needed) = (limit?, calls.saturating_add(RESERVE));
        (limit < needed).then(|| {
            format!(
                "at most {limit} files may be open, and {calls} calls at once need up to {needed}: \
                 raise the hard limit (LimitNOFILE=, ulimits.nofile, ulimit -n) to {needed}, or \
                 lower {keys}"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_does_not_hold_the_calls_and_a_reserve_is_told_with_what_to_do() {
        let budget = CallBudget { calls: 2_000, keys: "connectors.p.policy.max_in_flight".into() };
        let warning = budget.warning(Some(2_511)).unwrap();
        for part in ["2511 files", "2000 calls", "to 2512", "LimitNOFILE", &budget.keys] {
            assert!(warning.contains(part), "{part}: {warning}");
        }
        assert_eq!(budget.warning(Some(2_512)), None);
        assert_eq!(budget.warning(None), None, "unlimited");
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum;
        assert_eq!(raise_limit(), hard);
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
    }
}
