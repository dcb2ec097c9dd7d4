//! Failures on request. They live in memory: a restarted simulator is a healthy one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use crate::hash;
use crate::platform;

/// The most faults that wait at once.
const MAX_FAULTS: usize = 1000;

/// A refused value of a request to the simulator itself.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize)]
#[error("{field} {rule}")]
pub struct FieldError {
    /// The field.
    pub field: String,
    /// What it must satisfy.
    pub rule: String,
}

impl FieldError {
    pub(crate) fn new(field: &str, rule: &str) -> Self {
        Self { field: field.to_owned(), rule: rule.to_owned() }
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// The call is refused with an error in the vendor's shape.
    Error {
        /// The vendor's code.
        code: i64,
        /// The vendor's subcode.
        #[serde(skip_serializing_if = "Option::is_none")]
        subcode: Option<i64>,
        /// 400 to 599; `None` = as documented for the code.
        #[serde(skip_serializing_if = "Option::is_none")]
        http_status: Option<u16>,
        /// Seconds, for the `Retry-After` header.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u64>,
    },
    /// The answer comes this many milliseconds later.
    Slow {
        /// On top of the usual latency.
        delay_ms: u64,
    },
    /// Five minutes without an answer, then the connection is closed.
    Hang {
        /// Whether the message was accepted all the same.
        accept: bool,
    },
    /// The answer breaks off in the middle of its body.
    Cut {
        /// Whether the message was accepted all the same.
        accept: bool,
    },
    /// HTTP 503 without a vendor's body.
    Down,
}

/// A failure and the calls it is for. Of several that match, the oldest happens.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// The hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(flatten)]
    kind: FaultKind,
    /// How often it will still happen.
    times: u64,
}

impl Fault {
    /// A failure of the next call, whichever it is.
    pub fn new(kind: FaultKind) -> Self {
        Self { platform: None, account: None, recipient: None, kind, times: 1 }
    }

    /// Of the next `times` calls.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }

    /// Only on this platform.
    #[must_use]
    pub fn platform(self, name: &str) -> Self {
        Self { platform: Some(name.to_owned()), ..self }
    }

    /// Only for this account.
    #[must_use]
    pub fn account(self, account: &str) -> Self {
        Self { account: Some(account.to_owned()), ..self }
    }

    /// Only for this recipient, in any spelling; just its hash is kept.
    #[must_use]
    pub fn recipient(self, recipient: &str) -> Self {
        Self { recipient: Some(hash::recipient(recipient)), ..self }
    }

    fn matches(&self, platform: &str, account: &str, recipient: &str) -> bool {
        let fits =
            |filter: &Option<String>, value| filter.as_deref().is_none_or(|own| own == value);
        fits(&self.platform, platform)
            && fits(&self.account, account)
            && fits(&self.recipient, recipient)
    }

    fn check(&self) -> Result<(), FieldError> {
        let known = |name: &String| platform::REGISTRY.iter().any(|known| known.name() == name);
        if !self.platform.as_ref().is_none_or(known) {
            let names: Vec<_> = platform::REGISTRY.iter().map(|known| known.name()).collect();
            return Err(FieldError::new(
                "platform",
                &format!("must be one of {}", names.join(", ")),
            ));
        }
        if !(1..=1_000_000).contains(&self.times) {
            return Err(FieldError::new("times", "must be a whole number, 1 to 1000000"));
        }
        let refuse = |field, rule| Err(FieldError::new(field, rule));
        match self.kind {
            FaultKind::Error { http_status: Some(status), .. } if !(400..600).contains(&status) => {
                refuse("http_status", "must be a whole number, 400 to 599")
            }
            FaultKind::Error { retry_after_s: Some(seconds), .. } if seconds > 86_400 => {
                refuse("retry_after_s", "must be a whole number, 0 to 86400")
            }
            FaultKind::Slow { delay_ms } if !(1..=600_000).contains(&delay_ms) => {
                refuse("delay_ms", "must be a whole number, 1 to 600000")
            }
            _ => Ok(()),
        }
    }
}

impl FaultKind {
    /// What it adds to the latency.
    pub(crate) fn delay(&self) -> Duration {
        match self {
            FaultKind::Slow { delay_ms } => Duration::from_millis(*delay_ms),
            _ => Duration::ZERO,
        }
    }

    /// Whether the message is accepted.
    pub(crate) fn accepts(&self) -> bool {
        match self {
            FaultKind::Error { .. } | FaultKind::Down => false,
            FaultKind::Slow { .. } => true,
            FaultKind::Hang { accept } | FaultKind::Cut { accept } => *accept,
        }
    }
}

/// The faults that wait.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) -> Result<(), FieldError> {
        fault.check()?;
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() >= MAX_FAULTS {
            return Err(FieldError::new("faults", "must be at most 1000 at a time"));
        }
        faults.push(fault);
        Ok(())
    }

    /// Uses up one time of the oldest fault for this call.
    pub(crate) fn take(&self, platform: &str, account: &str, recipient: &str) -> Option<FaultKind> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = faults.iter().position(|fault| fault.matches(platform, account, recipient))?;
        let kind = faults[n].kind.clone();
        faults[n].times -= 1;
        if faults[n].times == 0 {
            faults.remove(n);
        }
        Some(kind)
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn clear(&self) -> usize {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *faults).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_happens_as_often_as_asked_and_only_where_asked() {
        let faults = Faults::default();
        let name = platform::REGISTRY[0].name();
        let fault = Fault::new(FaultKind::Down).times(2).platform(name).account("1");
        faults.add(fault.recipient("+55 11")).unwrap();
        let recipient = hash::recipient("5511");
        assert_eq!(faults.take(name, "2", &recipient), None);
        assert_eq!(faults.take(name, "1", "other"), None);
        assert_eq!(faults.take(name, "1", &recipient), Some(FaultKind::Down));
        assert_eq!(faults.list()[0].times, 1);
        assert_eq!(faults.take(name, "1", &recipient), Some(FaultKind::Down));
        assert_eq!(faults.take(name, "1", &recipient), None);
    }

    #[test]
    fn the_number_of_faults_is_bounded() {
        let faults = Faults::default();
        for _ in 0..MAX_FAULTS {
            faults.add(Fault::new(FaultKind::Down)).unwrap();
        }
        assert_eq!(faults.add(Fault::new(FaultKind::Down)).unwrap_err().field, "faults");
        assert_eq!(faults.clear(), MAX_FAULTS);
    }
}
