//! What an end of a connector leaves behind, and whether that is little enough (I6).

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::Fleet;
use crate::harness::{LastMoment, OUTLASTED, Role};
use crate::torture::recovery::{PATIENCE, within};

/// For so long after a trouble of the log a connector may hold more than it could commit.
const TROUBLE: Duration = Duration::from_secs(15);

impl Fleet {
    /// With what each platform has accepted by now.
    pub(super) async fn with_accepted(
        &self,
        lasts: Vec<LastMoment>,
    ) -> Vec<(LastMoment, BTreeSet<String>)> {
        let mut found = Vec::new();
        for last in lasts {
            let (platforms, name) = (&self.shared.platforms, last.platform);
            let accepted = within(PATIENCE, async || platforms.lately_accepted(name).await);
            found.push((last, accepted.await.expect("the ledger can be read")));
        }
        found
    }

    /// With what other instances go on with: they do not leave it behind. While the log answers.
    pub(super) async fn with_living(
        &self,
        mut lasts: Vec<(LastMoment, BTreeSet<String>)>,
    ) -> Vec<(LastMoment, BTreeSet<String>)> {
        for (last, _) in &mut lasts {
            last.look_who_lives(&self.cluster).await;
        }
        lasts
    }

    /// What was left behind may be sent again, and must be within I6's bound.
    pub(super) async fn examine(
        &self,
        lasts: Vec<(LastMoment, BTreeSet<String>)>,
        without_log: bool,
    ) {
        for (last, accepted) in lasts {
            let found = last.examine(&self.cluster, &accepted).await;
            let config = &self.cluster.config;
            let is_troubled = without_log || self.shared.board.log_was_troubled(TROUBLE);
            let bound = if is_troubled {
                config.repeatable_without_log(found.platform)
            } else {
                config.repeatable(found.platform)
            };
            self.shared.causes.add(&found);
            self.shared.board.note(
                "left behind",
                json!({ "platform": found.platform, "in_flight": found.in_flight,
                    "uncommitted": found.uncommitted, "uncommitted_ms": found.uncommitted_ms,
                    "bound": bound, "ids": found.ids }),
            );
            if found.repeatable() > bound {
                let text = format!(
                    "{} left {} calls in flight and {} uncommitted over {} ms; allowed are {bound}",
                    found.platform, found.in_flight, found.uncommitted, found.uncommitted_ms
                );
                self.shared.board.finds("an end leaves little behind (I6)", None, text);
            }
        }
    }

    /// SIGTERM, and the end: within its time, and with 0.
    pub(super) async fn terminate(&mut self, role: Role, name: &str) {
        let code = if let Role::Connector(platform) = role {
            let http = self.cluster.http.clone();
            self.shared.causes.look(&http).await;
            let (code, last) = self.cluster.named(name).terminate_reading(&http, OUTLASTED).await;
            self.shared.causes.ended(name, Some(last));
            self.hands_over(platform).await;
            code
        } else {
            self.cluster.named(name).terminate().await
        };
        if code != Some(0) {
            let text = format!("{name} ended with {code:?}");
            self.shared.board.finds("a planned stop ends with 0", None, text);
        }
    }

    /// A drained connector leaves only what is not done. Of that a platform can have accepted what was
    /// in doubt; nobody after it knows.
    pub(super) async fn hands_over(&self, platform: &'static str) {
        let last = LastMoment::of(&self.cluster, platform).await;
        for (last, accepted) in self.with_accepted(vec![last]).await {
            let found = last.examine(&self.cluster, &accepted).await;
            self.shared.causes.hand_over(&found);
            let details = json!({ "platform": platform, "ids": found.ids });
            self.shared.board.note("handed over", details);
        }
    }
}
