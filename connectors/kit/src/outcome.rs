//! What follows an outcome: the table of the whole retry policy, without any machinery.

use std::time::Duration;

use chat4all_contracts::{ExternalId, Reason};

use crate::platform::{Outcome, ThrottleScope};
use crate::settings::KitSettings;

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
    /// Whether one of them may have been accepted without our knowing.
    pub possibly_accepted: bool,
}

/// What to do with the first message of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Done: the platform has it.
    Accepted(ExternalId),
    /// Done: it will not be delivered.
    Failed(Reason, String),
    /// Give it to the gateway again: the gateway knows when.
    Again,
    /// The same, after a fixed wait of its lane.
    AgainAfter(Duration),
    /// The same, after the next wait of its backoff.
    AgainAfterBackoff,
    /// Nothing: the partition is going away.
    Stay,
}

/// How long a gateway's replacement is waited for before it is asked.
const GATEWAY_RESTART: Duration = Duration::from_millis(100);

/// The table. Only outcomes that say something about the message count as attempts.
pub fn next_step(tries: &mut Tries, result: CallResult, settings: &KitSettings) -> Next {
    let (outcome, probe) = match result {
        CallResult::NotStarted => return Next::Stay,
        CallResult::GatewayLost => return Next::AgainAfter(GATEWAY_RESTART),
        CallResult::Expired => return give_up(tries, Reason::Expired, "its life ended".to_owned()),
        CallResult::Outcome { outcome, probe } => (outcome, probe),
    };
    let exhausted = |tries: &Tries| u64::from(tries.made) >= settings.max_attempts.get();
    match outcome {
        Outcome::Accepted { external_id } => {
            tries.made += 1;
            Next::Accepted(external_id)
        }
        Outcome::Permanent { reason, detail, .. } => {
            tries.made += 1;
            Next::Failed(reason, detail)
        }
        // An outage is no fault of the message that finds out whether it is over (I4).
        Outcome::Retryable { .. } if probe => Next::Again,
        Outcome::Retryable { detail } => {
            tries.made += 1;
            if exhausted(tries) {
                return give_up(tries, Reason::Exhausted, detail);
            }
            Next::AgainAfterBackoff
        }
        Outcome::InDoubt { detail } => {
            tries.made += 1;
            tries.possibly_accepted = true;
            if exhausted(tries) {
                return give_up(tries, Reason::Exhausted, detail);
            }
            Next::AgainAfter(settings.in_doubt_wait_ms.ms())
        }
        Outcome::Throttled { scope: ThrottleScope::Account, .. } | Outcome::Account { .. } => {
            Next::Again
        }
        Outcome::Throttled { scope: ThrottleScope::Recipient, after, .. } => {
            Next::AgainAfter(after.unwrap_or(settings.throttle_pause_ms.ms()))
        }
    }
}

/// A message that may have been accepted is never said to have simply expired.
fn give_up(tries: &Tries, reason: Reason, detail: String) -> Next {
    let reason = if tries.possibly_accepted { Reason::InDoubt } else { reason };
    Next::Failed(reason, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(tries: &mut Tries, outcome: Outcome) -> Next {
        let result = CallResult::Outcome { outcome, probe: false };
        next_step(tries, result, &KitSettings::default())
    }

    fn detail() -> String {
        "131000".to_owned()
    }

    #[test]
    fn the_last_attempt_is_the_last() {
        let mut tries = Tries::default();
        for _ in 1..8 {
            let next = step(&mut tries, Outcome::Retryable { detail: detail() });
            assert_eq!(next, Next::AgainAfterBackoff);
        }
        let next = step(&mut tries, Outcome::Retryable { detail: detail() });
        assert_eq!(next, Next::Failed(Reason::Exhausted, detail()));
    }

    #[test]
    fn a_probe_of_a_failing_platform_is_no_attempt() {
        let mut tries = Tries::default();
        let outcome = Outcome::Retryable { detail: detail() };
        let result = CallResult::Outcome { outcome, probe: true };
        let next = next_step(&mut tries, result, &KitSettings::default());
        assert_eq!((next, tries), (Next::Again, Tries::default()));
    }

    #[test]
    fn throttles_and_refused_accounts_are_no_attempts() {
        let mut tries = Tries::default();
        for scope in [ThrottleScope::Account, ThrottleScope::Recipient] {
            let after = Some(Duration::from_secs(4));
            let next = step(&mut tries, Outcome::Throttled { after, scope, detail: detail() });
            assert!(matches!(next, Next::Again | Next::AgainAfter(_)));
        }
        assert_eq!(step(&mut tries, Outcome::Account { detail: detail() }), Next::Again);
        assert_eq!(tries, Tries::default());
    }

    #[test]
    fn a_message_in_doubt_never_simply_expires() {
        let mut tries = Tries::default();
        let settings = KitSettings::default();
        let expired = next_step(&mut tries, CallResult::Expired, &settings);
        assert!(matches!(expired, Next::Failed(Reason::Expired, _)));
        let next = step(&mut tries, Outcome::InDoubt { detail: detail() });
        assert_eq!(next, Next::AgainAfter(settings.in_doubt_wait_ms.ms()));
        let expired = next_step(&mut tries, CallResult::Expired, &settings);
        assert!(matches!(expired, Next::Failed(Reason::InDoubt, _)));
    }

    #[test]
    fn a_partition_that_goes_away_decides_nothing() {
        let mut tries = Tries::default();
        let next = next_step(&mut tries, CallResult::NotStarted, &KitSettings::default());
        assert_eq!((next, tries), (Next::Stay, Tries::default()));
    }
}
