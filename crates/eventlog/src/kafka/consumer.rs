//! The consumer of a group: a thread of its own polls librdkafka, another one commits.
//!
//! Nothing here blocks a runtime's worker: commits are synchronous (their callbacks never come) and
//! leaving the group takes its time, so both happen on those threads.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::oneshot;

use super::context::{Reporter, STATISTICS_MS};
use super::membership::{Membership, Order, Step};
use super::positions::number;
use super::rebalance::Rebalancing;
use super::settings::{GroupProtocol, KafkaSettings};
use crate::LogError;
use crate::consumer::{Commit, CommitError, Consumer, ConsumerEvent, Subscription, TopicPartition};

/// How long the polling thread waits for an event before it looks for orders.
const POLL: Duration = Duration::from_millis(50);
/// Fetched records that are not gathered any longer.
const GATHERED_BYTES: &str = "65536";
/// How long leaving the group may take. It takes a tenth of a second; without a broker to say
/// goodbye to, librdkafka would wait for it for as long as a session lasts, and the group then
/// forgets us after that time anyway.
const LEAVE: Duration = Duration::from_secs(5);
/// The most commits that wait for the one under way: callers wait for each.
const WAITING_COMMITS: usize = 16;

/// How long the group waits, when it shares its partitions anew, for a member that does not say whether
/// it stays; and how long nobody may poll. Somebody always does: only a member that is gone, and that a
/// coordinator which has just come back still counts on, is waited for so long. As long as a session, if
/// that is longer.
const LONGEST_SHARE_OUT_MS: u64 = 30_000;

type Client = BaseConsumer<Rebalancing>;

/// See the module. Dropping it leaves the group without a commit.
pub(super) struct KafkaConsumer {
    membership: Arc<Membership>,
    max_batch: usize,
    commits: SyncSender<CommitJob>,
    lease: Duration,
}

struct CommitJob {
    commits: Vec<Commit>,
    reply: oneshot::Sender<Result<Vec<CommitError>, LogError>>,
}

impl KafkaConsumer {
    /// Joins the group.
    pub(super) fn join(
        settings: &KafkaSettings,
        to: Subscription,
        reporter: Reporter,
    ) -> Result<Self, KafkaError> {
        let membership = Arc::new(Membership::new(to.group.clone(), reporter.clone()));
        let context = Rebalancing {
            membership: membership.clone(),
            topics: to.topics.clone(),
            bootstrap: settings.bootstrap_servers.clone(),
            start_at: settings.start_at.get(&to.group).copied(),
            revoke_deadline: to.revoke_deadline,
            consumer: OnceLock::new(),
        };
        let config = config(settings, &to, reporter.service);
        let client = Arc::new(Client::from_config_and_context(&config, context)?);
        // Set before the first poll, which is what calls back.
        let _first = client.context().consumer.set(Arc::downgrade(&client));
        let topics: Vec<&str> = to.topics.iter().map(String::as_str).collect();
        client.subscribe(&topics)?;
        let (commits, jobs) = sync_channel(WAITING_COMMITS);
        let committing = {
            let (client, membership) = (Arc::downgrade(&client), membership.clone());
            spawn("kafka-commit", move || commit_all(&client, &membership, &jobs))?
        };
        let polled = membership.clone();
        drop(spawn("kafka-poll", move || poll(client, &polled, committing))?);
        let lease = settings.session_timeout_ms.ms();
        Ok(Self { membership, max_batch: to.max_batch.max(1), commits, lease })
    }

    async fn next_event(&self) -> Result<ConsumerEvent, LogError> {
        let mut changes = self.membership.changes();
        loop {
            // Seen before looking: whatever changes afterwards wakes again.
            changes.borrow_and_update();
            match self.membership.step(self.max_batch) {
                Step::Event(event) => return Ok(event),
                Step::Failed(error) => return Err(error),
                Step::Wait => {
                    // The sender is in the membership, which we hold.
                    let _changed = changes.changed().await;
                }
            }
        }
    }
}

fn config(settings: &KafkaSettings, to: &Subscription, client_id: &str) -> rdkafka::ClientConfig {
    let mut config = settings.client(client_id);
    config
        .set("group.id", &to.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // The owner of a partition decides where it begins, never the client.
        .set("auto.offset.reset", "error")
        .set("queued.min.messages", settings.prefetch_records.get().to_string())
        .set("queued.max.messages.kbytes", (settings.prefetch_mib.get() * 1024).to_string())
        // Our prefetch is small: at the client's second, a backlog would come in at 2,000 records of a
        // partition a second.
        .set("fetch.queue.backoff.ms", "10")
        .set("statistics.interval.ms", STATISTICS_MS);
    // Without a wait brokers would answer at once that there is nothing, and be asked at once again.
    if let Some(gather) = settings.gather_ms.filter(|gather| gather.get() > 0) {
        // Otherwise each record of a thin stream is an answer of its own: half of what its delivery
        // costs.
        config
            .set("fetch.wait.max.ms", gather.get().to_string())
            .set("fetch.min.bytes", GATHERED_BYTES);
    }
    match settings.group_protocol {
        GroupProtocol::Classic => config
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", settings.session_timeout_ms.get().to_string())
            .set(
                "max.poll.interval.ms",
                longest_share_out(settings, to.revoke_deadline).to_string(),
            )
            .set("heartbeat.interval.ms", settings.heartbeat_interval_ms.get().to_string()),
        GroupProtocol::Consumer => config.set("group.protocol", "consumer"),
    };
    config
}

fn longest_share_out(settings: &KafkaSettings, revoke_deadline: Duration) -> u64 {
    // Whoever lets go of partitions does not poll meanwhile.
    let letting_go = u64::try_from(2 * revoke_deadline.as_millis()).unwrap_or(u64::MAX);
    settings.session_timeout_ms.get().max(LONGEST_SHARE_OUT_MS).max(letting_go)
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, KafkaError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| KafkaError::ClientCreation(error.to_string()))
}

/// The polling thread: serves rebalances, errors and orders until the owner leaves.
fn poll(client: Arc<Client>, membership: &Membership, committing: JoinHandle<()>) {
    loop {
        // Records come through the partitions' own queues, errors through the context.
        if let Some(Ok(_)) = client.poll(POLL) {
            let why = "a record came outside its partition's queue".to_owned();
            membership.reporter.failure.report(why);
            membership.wake();
        }
        membership.reporter.find_brokers(client.client());
        match membership.orders() {
            Order::Nothing => {}
            Order::Restart(partitions) => client.context().restart(&partitions),
            Order::Leave => break,
        }
    }
    // The thread that commits borrows the client; it ends because we are leaving.
    if committing.join().is_err() {
        tracing::error!("the committing thread had panicked");
    }
    membership.clear();
    // The last handle: closes the client, which leaves the group.
    drop(client);
    membership.set_left();
}

/// How often the committing thread looks whether the owner has left.
const LOOK: Duration = Duration::from_millis(50);

fn commit_all(client: &Weak<Client>, membership: &Membership, jobs: &Receiver<CommitJob>) {
    while !membership.is_leaving() {
        let Ok(CommitJob { commits, reply }) = jobs.recv_timeout(LOOK) else { continue };
        let result = match client.upgrade() {
            Some(client) => commit(&client, commits),
            None => Err(LogError::Closed),
        };
        // The caller may have gone; the commit holds.
        let _gone = reply.send(result);
    }
}

fn commit(client: &Client, commits: Vec<Commit>) -> Result<Vec<CommitError>, LogError> {
    let unavailable = |error: KafkaError| LogError::Unavailable(error.to_string());
    let mut list = TopicPartitionList::with_capacity(commits.len());
    for Commit { at, offset, note, .. } in &commits {
        let mut element = list.add_partition(&at.topic, number(at));
        let offset = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
        element.set_offset(offset).map_err(unavailable)?;
        if !note.is_empty() {
            element.set_metadata(note);
        }
    }
    let Err(error) = client.commit(&list, CommitMode::Sync) else { return Ok(Vec::new()) };
    let all = |refusal: fn(TopicPartition) -> CommitError| {
        Ok(commits.iter().map(|commit| refusal(commit.at.clone())).collect())
    };
    match error.rdkafka_error_code() {
        // We are no member any more, or of an older share-out: the group will tell us.
        Some(
            RDKafkaErrorCode::UnknownMemberId
            | RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::StaleMemberEpoch
            | RDKafkaErrorCode::FencedMemberEpoch,
        ) => all(CommitError::Stale),
        // The brokers allow less than Kafka does by default, and do not say for which partition.
        Some(RDKafkaErrorCode::OffsetMetadataTooLarge) => all(CommitError::NoteTooLong),
        _ => Err(unavailable(error)),
    }
}

impl Consumer for KafkaConsumer {
    fn next(&self) -> BoxFuture<'_, Result<ConsumerEvent, LogError>> {
        self.next_event().boxed()
    }

    fn commit(&self, commits: Vec<Commit>) -> BoxFuture<'_, Result<Vec<CommitError>, LogError>> {
        // Before the first poll, so that commits are stored in the order of the calls.
        let (admitted, mut refused) = self.membership.admit(commits);
        if self.membership.is_leaving() {
            return futures::future::ready(Err(LogError::Closed)).boxed();
        }
        if admitted.is_empty() {
            return futures::future::ready(Ok(refused)).boxed();
        }
        let (reply, answer) = oneshot::channel();
        match self.commits.try_send(CommitJob { commits: admitted, reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                let why = LogError::Unavailable("too many commits are waiting".to_owned());
                return futures::future::ready(Err(why)).boxed();
            }
            Err(TrySendError::Disconnected(_)) => {
                return futures::future::ready(Err(LogError::Closed)).boxed();
            }
        }
        async move {
            let more = answer.await.unwrap_or(Err(LogError::Closed))?;
            refused.extend(more);
            Ok(refused)
        }
        .boxed()
    }

    fn pause(&self, at: &TopicPartition) {
        self.membership.set_paused(at, true);
    }

    fn resume(&self, at: &TopicPartition) {
        self.membership.set_paused(at, false);
    }

    fn restart(&self, at: &TopicPartition) {
        self.membership.order_restart(at);
    }

    fn lease(&self) -> Option<Duration> {
        Some(self.lease)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            self.membership.order_leave();
            if tokio::time::timeout(LEAVE, self.membership.left()).await.is_err() {
                let group = &self.membership.group;
                tracing::warn!(group, "no broker heard that this member of the group is leaving");
            }
        }
        .boxed()
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        self.membership.order_leave();
    }
}

#[cfg(test)]
mod tests {
    use chat4all_process::config::Bounded;

    use super::*;

    fn longest_wait(gather_ms: Option<u64>) -> Option<String> {
        let gather_ms = gather_ms.map(Bounded::new);
        let settings = KafkaSettings { gather_ms, ..KafkaSettings::default() };
        setting(&settings, Duration::from_secs(1), "fetch.wait.max.ms")
    }

    fn setting(settings: &KafkaSettings, revoke_deadline: Duration, name: &str) -> Option<String> {
        let (group, topics) = ("group".to_owned(), Vec::new());
        let to = Subscription { group, topics, max_batch: 1, revoke_deadline };
        config(settings, &to, "client").get(name).map(str::to_owned)
    }

    #[test]
    fn a_member_that_is_gone_is_waited_for_as_long_as_a_session_and_not_five_minutes() {
        let longest = |session_ms, revoke_s| {
            let session_timeout_ms = Bounded::new(session_ms);
            let settings = KafkaSettings { session_timeout_ms, ..KafkaSettings::default() };
            setting(&settings, Duration::from_secs(revoke_s), "max.poll.interval.ms")
        };
        assert_eq!(longest(12_000, 1).as_deref(), Some("30000"));
        assert_eq!(longest(45_000, 1).as_deref(), Some("45000"));
        assert_eq!(longest(12_000, 25).as_deref(), Some("50000"));
    }

    #[test]
    fn nothing_is_fetched_without_a_wait() {
        assert_eq!(longest_wait(Some(16)).as_deref(), Some("16"));
        // The client's own wait, and not none.
        assert_eq!([longest_wait(Some(0)), longest_wait(None)], [None, None]);
    }
}
