//! The judgement of a run that has settled: what clients were promised, against what the API shows,
//! what services reported and what the platforms have seen.

use std::collections::{BTreeMap, BTreeSet};

use chat4all_contracts::{Reason, Status};

use super::board::Board;
use super::causes::{Causes, LeftBehind, unexplained};
use super::load::{Chat, Sent};
use super::platforms::Entry;
use super::reported::{Reported, Reports};

/// What the API shows of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its status.
    pub status: Status,
    /// Why, if it failed.
    pub reason: Option<Reason>,
    /// Whether it may have arrived twice.
    pub possible_duplicate: bool,
}

/// Everything that is known at the end.
pub struct Facts {
    /// What was accepted, by conversation.
    pub chats: Vec<Chat>,
    /// What the API shows of each message.
    pub shown: BTreeMap<String, Shown>,
    /// What the platforms have seen of it.
    pub ledger: BTreeMap<String, Entry>,
    /// How many receipts platforms never sent, or gave up.
    pub receipts_lost: u64,
    /// How many messages were perhaps accepted, and nobody knows under which name.
    pub unknown: u64,
}

/// Figures of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Answered 202.
    pub accepted: u64,
    /// By the status that is shown at the end.
    pub by_status: BTreeMap<&'static str, u64>,
    /// Failed, by reason.
    pub failed: BTreeMap<&'static str, u64>,
    /// Without an end.
    pub unsettled: u64,
    /// Neither arrived nor failed with a reason.
    pub lost: u64,
    /// First accepted by the platform after a later one of the same conversation.
    pub overtaken: u64,
    /// Reported as UNKNOWN at some time, to be called again.
    pub doubted: u64,
    /// Reported as UNKNOWN at some time, never to be called again.
    pub in_doubt: u64,
    /// Of these: arrived after all.
    pub in_doubt_arrived: u64,
    /// Of these: failed as in doubt.
    pub in_doubt_failed: u64,
    /// Marked as a possible duplicate.
    pub marked: u64,
    /// Of these: really accepted twice or more.
    pub marked_twice: u64,
    /// Acceptances beyond the first of each message.
    pub duplicates: u64,
    /// Of these: of messages that are not marked.
    pub unmarked_duplicates: u64,
    /// Of these: that no end left behind. Hand-overs may have cut them off.
    pub unexplained: u64,
    /// Calls that hand-overs have cut off.
    pub outlasted: u64,
    /// What dead connectors left behind.
    pub left: LeftBehind,
    /// Shown as failed although accepted: left behind by an end, after which the message expired.
    pub failed_after_end: u64,
}

impl Verdict {
    /// How many duplicates without a mark I6 allows: what unplanned ends left behind, and calls that
    /// hand-overs have cut off.
    pub fn repeatable(&self) -> u64 {
        self.left.in_flight + self.left.uncommitted + self.outlasted
    }
}

/// Judges, and puts what must not be on the board.
pub fn judge(facts: &Facts, reported: &Reported, causes: &Causes, board: &Board) -> Verdict {
    let left = causes.left_behind();
    let mut judge = Judge {
        facts,
        reported,
        board,
        left,
        verdict: Verdict::default(),
        marked: BTreeSet::new(),
    };
    for chat in &facts.chats {
        for sent in &chat.sent {
            judge.message(chat, sent);
        }
        judge.order(chat);
    }
    judge.strangers();
    judge.receipts();
    judge.duplicates(causes.outlasted());
    judge.verdict
}

struct Judge<'a> {
    facts: &'a Facts,
    reported: &'a Reported,
    board: &'a Board,
    left: LeftBehind,
    verdict: Verdict,
    marked: BTreeSet<String>,
}

impl Judge<'_> {
    fn finds(&self, check: &'static str, id: &str, text: String) {
        self.board.finds(check, Some(id), text);
    }

    fn entry(&self, id: &str) -> Entry {
        self.facts.ledger.get(id).cloned().unwrap_or_default()
    }

    fn message(&mut self, chat: &Chat, sent: &Sent) {
        self.verdict.accepted += 1;
        let (id, reports, entry) =
            (sent.id.as_str(), self.reported.of(&sent.id), self.entry(&sent.id));
        let Some(shown) = self.facts.shown.get(id) else {
            self.verdict.lost += u64::from(entry.accepted == 0);
            return self.finds(
                "what was accepted is in the store (I1)",
                id,
                "it is not".to_owned(),
            );
        };
        *self.verdict.by_status.entry(shown.status.word()).or_default() += 1;
        if rank(shown) < rank_of(&reports) {
            let text = format!("{shown:?}, and reported was {reports:?}");
            self.finds("the store has what was reported (I5)", id, text);
        }
        if shown.possible_duplicate {
            self.verdict.marked += 1;
            self.verdict.marked_twice += u64::from(entry.accepted > 1);
            self.marked.insert(id.to_owned());
        }
        self.verdict.doubted += u64::from(reports.doubted);
        if reports.unknown {
            self.in_doubt(shown);
        }
        match shown.status {
            Status::Accepted | Status::Unknown => {
                self.verdict.unsettled += 1;
                self.verdict.lost += u64::from(entry.accepted == 0);
                self.finds("everything has an end (I1)", id, format!("{shown:?}"));
            }
            Status::Failed => self.failure(chat, sent, shown, &entry),
            Status::Sent | Status::Delivered | Status::Read if entry.accepted == 0 => {
                let text = format!("{shown:?}, and it never arrived");
                self.finds("what is shown as accepted arrived (I1)", id, text);
                self.verdict.lost += 1;
            }
            Status::Sent | Status::Delivered | Status::Read => {}
        }
    }

    fn in_doubt(&mut self, shown: &Shown) {
        self.verdict.in_doubt += 1;
        match (shown.status, shown.reason) {
            (Status::Sent | Status::Delivered | Status::Read, _) => {
                self.verdict.in_doubt_arrived += 1;
            }
            (Status::Failed, Some(Reason::InDoubt)) => self.verdict.in_doubt_failed += 1,
            _ => {}
        }
    }

    fn failure(&mut self, chat: &Chat, sent: &Sent, shown: &Shown, entry: &Entry) {
        let id = sent.id.as_str();
        let reason = shown.reason.unwrap_or(Reason::Unspecified);
        *self.verdict.failed.entry(reason.word()).or_default() += 1;
        let is_right = match reason {
            Reason::InDoubt => true,
            Reason::Expired => sent.is_short || chat.has_lifetime,
            Reason::RecipientUnreachable => chat.is_refused,
            Reason::Lost => {
                self.verdict.lost += 1;
                false
            }
            _ => false,
        };
        if !is_right {
            self.finds(
                "a failure has a cause",
                id,
                format!("{}, and nothing caused it", reason.word()),
            );
        }
        if entry.accepted > 0 && reason != Reason::InDoubt {
            if self.left.messages.contains_key(id) {
                self.verdict.failed_after_end += 1;
            } else {
                let text = format!("{}, and it arrived", reason.word());
                self.finds("what is shown as failed did not arrive (I1)", id, text);
            }
        }
    }

    /// First acceptances follow the order in which the API accepted. A message that was in doubt, or
    /// failed, had an outcome before the next one: a call of it may still have arrived later.
    fn order(&mut self, chat: &Chat) {
        let mut highest = 0;
        for Sent { id, .. } in &chat.sent {
            let failed = self.facts.shown.get(id).is_none_or(|it| it.status == Status::Failed);
            let Some(first) = self.entry(id).first_accepted.filter(|_| !failed) else { continue };
            if self.reported.of(id).unknown {
                continue;
            }
            if first < highest {
                self.verdict.overtaken += 1;
                let text = format!("a later message of {} was accepted before it", chat.id);
                self.finds("no message is overtaken (I2)", id, text);
            }
            highest = highest.max(first);
        }
    }

    /// Platforms know only messages that somebody sent.
    fn strangers(&self) {
        let ours: BTreeSet<&str> = self
            .facts
            .chats
            .iter()
            .flat_map(|chat| &chat.sent)
            .map(|sent| sent.id.as_str())
            .collect();
        let strangers: Vec<&String> =
            self.facts.ledger.keys().filter(|id| !ours.contains(id.as_str())).collect();
        if strangers.len() as u64 > self.facts.unknown {
            let text = format!(
                "{} messages that nobody knows of; {} requests had no answer and no name: {:?}",
                strangers.len(),
                self.facts.unknown,
                &strangers[..strangers.len().min(10)]
            );
            self.board.finds("platforms get only what was sent", None, text);
        }
    }

    /// A message is shown as SENT in the end only if a receipt of it was never sent.
    fn receipts(&self) {
        let sent = self.verdict.by_status.get(Status::Sent.word()).copied().unwrap_or(0);
        if sent > self.facts.receipts_lost {
            let lost = self.facts.receipts_lost;
            let text = format!("{sent} are SENT in the end, and {lost} receipts were never sent");
            self.board.finds("a receipt that was answered counts (I1)", None, text);
        }
    }

    fn duplicates(&mut self, outlasted: u64) {
        let accepted = self.facts.ledger.iter().filter(|(_, entry)| entry.accepted > 1);
        let accepted = accepted.map(|(id, entry)| (id.as_str(), entry.accepted));
        let unexplained = unexplained(accepted.clone(), &self.marked, &self.left);
        let count = |of: &mut dyn Iterator<Item = (&str, u64)>| of.map(|(_, n)| n - 1).sum::<u64>();
        let verdict = &mut self.verdict;
        verdict.duplicates = count(&mut accepted.clone());
        let marked = &self.marked;
        verdict.unmarked_duplicates = count(&mut accepted.filter(|(id, _)| !marked.contains(*id)));
        verdict.unexplained = unexplained.values().sum();
        verdict.outlasted = outlasted;
        verdict.left = self.left.clone();
        let (unmarked, bound) = (verdict.unmarked_duplicates, verdict.repeatable());
        if unmarked > bound {
            let text = format!("{unmarked} without a mark; allowed are {bound}");
            self.board.finds("duplicates are few (I6)", None, text);
        }
        if verdict.unexplained > outlasted {
            for (id, times) in &unexplained {
                let text = format!("{times} acceptances too many, and nothing explains them");
                self.board.finds("duplicates have a cause (I6)", Some(id), text);
            }
        }
    }
}

/// The order in which statuses may follow each other.
fn rank(shown: &Shown) -> u8 {
    match (shown.status, shown.reason) {
        (Status::Accepted, _) => 0,
        (Status::Unknown, _) => 1,
        (Status::Failed, Some(Reason::Rejected)) => 4,
        (Status::Failed, _) => 2,
        (Status::Sent, _) => 3,
        (Status::Delivered, _) => 5,
        (Status::Read, _) => 6,
    }
}

fn rank_of(reports: &Reports) -> u8 {
    let (status, reason) = (reports.status(), reports.failed);
    rank(&Shown { status, reason, possible_duplicate: false })
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
