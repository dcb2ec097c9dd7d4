//! The consumer loop of the services that are no connector: router and status-consumer.
//!
//! It hands each record to a [`Handler`], keeps a bounded number in hand, counts a record as done
//! only when its effect is acknowledged (I3), commits the contiguous prefix at intervals, lets go
//! of a partition only after committing, and drains on the order to stop.

mod committing;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::EpochMs;
use chat4all_contracts::event::UNREADABLE;
use chat4all_process::backoff::{Backoff, BackoffPolicy};
use chat4all_process::metric::Metric;
use chat4all_process::{Clock, Random, Shutdown};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use committing::{Committing, of};

use crate::LogError;
use crate::consumer::{Assignment, Consumer, ConsumerEvent, Epoch, Revoked, TopicPartition};
use crate::group_gauges::GroupGauges;
use crate::record::Record;
use crate::retry_log::RetryLog;
use crate::tracker::{OffsetTracker, Received};

/// What a service does with a record.
pub trait Handler: Send + Sync + 'static {
    /// Starts to handle a record. Calls come in the order of a partition's records; what has to
    /// keep that order (an append) must be queued before this returns.
    ///
    /// # Errors
    /// [`Full`] if a queue behind it has no room: nothing was started, the loop waits for
    /// [`Handler::room`] and offers the same record again before any other.
    fn start(&self, record: &Record) -> Result<Effect, Full>;

    /// How far a partition is done: told when it becomes ours and whenever its contiguous prefix
    /// has grown; `None` = it is no longer ours. Must return at once.
    fn held(&self, _at: &TopicPartition, _position: Option<u64>) {}

    /// Waits until [`Handler::start`] is likely to have room.
    fn room(&self) -> BoxFuture<'_, ()>;
}

/// Resolves when the effect of a record is acknowledged.
///
/// An error means "not done, try again": the record is started again after a wait, when later
/// ones may have been handled. A record that can never be handled is the handler's to put into the
/// dead letters.
pub type Effect = BoxFuture<'static, Result<(), Retry>>;

/// A queue behind the handler has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The effect is not acknowledged. The text names what failed, without content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry(pub String);

/// The loop's bounds.
#[derive(Clone, Debug)]
pub struct GroupLoopOptions {
    /// The service, for metrics.
    pub service: &'static str,
    /// The group, for metrics.
    pub group: &'static str,
    /// What it reads, for metrics.
    pub topics: Vec<String>,
    /// The most records in hand at once.
    pub max_in_hand: usize,
    /// How often progress is committed.
    pub commit_interval: Duration,
    /// How long records in hand may take when a partition goes away.
    pub revoke_deadline: Duration,
    /// How long records in hand may take when the order to stop came.
    pub drain_deadline: Duration,
}

/// How long a failed effect waits before the next try.
const RETRY: BackoffPolicy = BackoffPolicy::new(Duration::from_millis(100), Duration::from_secs(5));

struct Partition {
    epoch: Epoch,
    tracker: OffsetTracker,
    /// Records whose effect was started and is not acknowledged.
    started: usize,
    /// The last commit that is known to be durable.
    committed: (u64, String),
}

/// A record that is done, under the epoch in which it was received.
type Done = (TopicPartition, Epoch, u64);

struct GroupLoop {
    consumer: Arc<dyn Consumer>,
    handler: Arc<dyn Handler>,
    options: GroupLoopOptions,
    clock: Clock,
    random: Random,
    gauges: GroupGauges,
    retries: RetryLog,
    partitions: BTreeMap<TopicPartition, Partition>,
    /// Received and not yet started, because a queue behind the handler was full.
    waiting: VecDeque<(Epoch, Record)>,
    in_hand: FuturesUnordered<BoxFuture<'static, Done>>,
    /// At most one at a time, so that none overtakes another. Beside everything else: brokers may
    /// take long, and an effect that nobody looks at holds what others wait for.
    committing: Option<Committing>,
    /// Since when there is something to commit.
    unsaved: Option<Instant>,
    /// Whether partitions are paused because of that.
    holds_back: bool,
}

/// Consumes until `shutdown`, then drains, commits and leaves the group.
///
/// # Errors
/// If the consumer can no longer be used: the process should end and be restarted.
pub async fn run(
    consumer: Arc<dyn Consumer>,
    handler: Arc<dyn Handler>,
    options: GroupLoopOptions,
    clock: Clock,
    random: Random,
    shutdown: Shutdown,
) -> Result<(), LogError> {
    announce_metrics(&options, clock.now());
    let topics = options.topics.iter().map(String::as_str);
    let gauges = GroupGauges::new(options.service, options.group, topics);
    let (max_in_hand, drain_deadline) = (options.max_in_hand, options.drain_deadline);
    let mut ticks = interval(options.commit_interval);
    let mut group = GroupLoop {
        consumer,
        handler,
        options,
        clock,
        random,
        gauges,
        retries: RetryLog::default(),
        partitions: BTreeMap::new(),
        waiting: VecDeque::new(),
        in_hand: FuturesUnordered::new(),
        committing: None,
        unsaved: None,
        holds_back: false,
    };
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut backoff = Backoff::new(RETRY, group.random.clone());
    let mut not_before = Instant::now();
    loop {
        group.start_waiting();
        let has_room = group.waiting.is_empty() && group.in_hand.len() < max_in_hand;
        tokio::select! {
            biased;
            () = shutdown.wait() => break,
            Some(done) = group.in_hand.next() => group.complete(&done),
            ended = of(&mut group.committing) => group.committed(ended)?,
            _ = ticks.tick() => {
                group.begin_commit();
                group.hold_back();
                group.report();
            }
            () = group.handler.room(), if !group.waiting.is_empty() => {}
            event = next_event(&*group.consumer, not_before), if has_room => match event {
                Ok(event) => {
                    backoff.reset();
                    group.on_event(event).await?;
                }
                Err(LogError::Unavailable(why)) => {
                    tracing::warn!(why, "cannot read from the log yet");
                    not_before = Instant::now() + backoff.next_half_jittered();
                }
                Err(error) => return Err(error),
            },
        }
    }
    // What was not started is received again by the next owner.
    group.waiting.clear();
    group.drain(Instant::now() + drain_deadline, |_| true).await;
    group.commit_before_leaving().await?;
    group.consumer.close().await;
    Ok(())
}

/// Makes every series exist from the start: a rate of nothing is no rate.
fn announce_metrics(options: &GroupLoopOptions, now: EpochMs) {
    let GroupLoopOptions { service, topics, .. } = options;
    Metric::StartTime.set(service, &[], now.as_ms() as f64 / 1000.0);
    for topic in topics {
        for metric in [Metric::RecordsConsumed, Metric::EffectRetries, Metric::NotesUnusable] {
            metric.add(service, &[topic], 0);
        }
        for result in ["ok", "refused"] {
            Metric::Commits.add(service, &[topic, result], 0);
        }
        Metric::DeadLetters.add(service, &[topic, UNREADABLE], 0);
    }
    Metric::Commits.add(service, &["all", "failed"], 0);
}

/// The next event, not asked for before a moment. May be cancelled.
async fn next_event(
    consumer: &dyn Consumer,
    not_before: Instant,
) -> Result<ConsumerEvent, LogError> {
    sleep_until(not_before).await;
    consumer.next().await
}

impl GroupLoop {
    async fn on_event(&mut self, event: ConsumerEvent) -> Result<(), LogError> {
        match event {
            ConsumerEvent::Assigned(assignments) => {
                assignments.into_iter().for_each(|assignment| self.assign(assignment));
            }
            ConsumerEvent::Revoked(revoked) => self.revoke(revoked).await?,
            ConsumerEvent::Records { epoch, records } => self.receive(epoch, &records),
            ConsumerEvent::Stopped { at, why } => {
                tracing::error!(partition = %at, why, "a partition is stopped");
                self.gauges.stopped(at);
            }
        }
        Ok(())
    }

    fn assign(&mut self, assignment: Assignment) {
        let Assignment { at, epoch, position, note, end } = assignment;
        let (tracker, unusable) = OffsetTracker::resume(position, note.as_deref(), end);
        if let Some(why) = unusable {
            Metric::NotesUnusable.count(self.options.service, &[&at.topic]);
            tracing::warn!(partition = %at, %why, "the commit note is not used");
        }
        tracing::debug!(partition = %at, position, "assigned");
        self.gauges.not_stopped(&at);
        self.handler.held(&at, Some(position));
        let committed = (position, note.unwrap_or_default());
        if self.holds_back {
            self.consumer.pause(&at);
        }
        self.partitions.insert(at, Partition { epoch, tracker, started: 0, committed });
    }

    fn receive(&mut self, epoch: Epoch, records: &[Record]) {
        let Some(first) = records.first() else { return };
        let at = first.at();
        let Some(partition) = self.partitions.get_mut(&at).filter(|p| p.epoch == epoch) else {
            return;
        };
        let topic = &*at.topic;
        Metric::RecordsConsumed.add(self.options.service, &[topic], records.len() as u64);
        for record in records {
            if partition.tracker.receive(record.offset, record.timestamp) == Received::New {
                self.waiting.push_back((epoch, record.clone()));
            }
        }
        self.handler.held(&at, Some(partition.tracker.position()));
    }

    /// Starts received records in their order, as far as there is room.
    fn start_waiting(&mut self) {
        while let Some((epoch, record)) = self.waiting.pop_front() {
            let at = record.at();
            if self.partitions.get(&at).is_none_or(|partition| partition.epoch != epoch) {
                continue;
            }
            let Ok(effect) = self.handler.start(&record) else {
                self.waiting.push_front((epoch, record));
                break;
            };
            if let Some(partition) = self.partitions.get_mut(&at) {
                partition.started += 1;
            }
            let again = Again {
                handler: self.handler.clone(),
                service: self.options.service,
                random: self.random.clone(),
                retries: self.retries.clone(),
            };
            let done = (at, epoch, record.offset);
            self.in_hand.push(Box::pin(async move {
                again.until_acknowledged(effect, &record).await;
                done
            }));
        }
        self.report_in_hand();
    }

    fn report(&mut self) {
        let held = self.partitions.iter().map(|(at, partition)| (at, partition.tracker.oldest()));
        self.gauges.report(self.clock.now(), held);
    }

    fn report_in_hand(&self) {
        // Every topic of the loop shares one bound, so the loop has one figure.
        let in_hand = self.in_hand.len() as f64;
        Metric::RecordsInHand.set(self.options.service, &["all"], in_hand);
    }

    fn complete(&mut self, (at, epoch, offset): &Done) {
        if let Some(partition) = self.partitions.get_mut(at).filter(|p| p.epoch == *epoch) {
            partition.started -= 1;
            let before = partition.tracker.position();
            partition.tracker.complete(*offset);
            if partition.tracker.position() != before {
                self.handler.held(at, Some(partition.tracker.position()));
            }
        }
        self.report_in_hand();
    }

    async fn revoke(&mut self, revoked: Revoked) -> Result<(), LogError> {
        self.waiting
            .retain(|(_, record)| revoked.partitions.iter().all(|(gone, _)| *gone != record.at()));
        if !revoked.lost {
            let deadline = Instant::now() + self.options.revoke_deadline;
            self.drain(deadline, |at| revoked.partitions.iter().any(|(gone, _)| gone == at)).await;
            self.commit_before_leaving().await?;
        }
        for (at, epoch) in &revoked.partitions {
            self.gauges.not_stopped(at);
            if self.partitions.get(at).is_some_and(|partition| partition.epoch == *epoch) {
                self.partitions.remove(at);
                self.handler.held(at, None);
            }
        }
        revoked.ack.done();
        Ok(())
    }

    /// Waits until nothing of the chosen partitions is in hand, or until the deadline: what is
    /// then unfinished stays uncommitted and is received again by the next owner.
    async fn drain(&mut self, deadline: Instant, chosen: impl Fn(&TopicPartition) -> bool) {
        let started = |partitions: &BTreeMap<TopicPartition, Partition>| -> usize {
            let chosen = partitions.iter().filter(|(at, _)| chosen(at));
            chosen.map(|(_, partition)| partition.started).sum()
        };
        while started(&self.partitions) > 0 {
            match timeout_at(deadline, self.in_hand.next()).await {
                Ok(Some(done)) => self.complete(&done),
                Ok(None) => return,
                Err(_) => {
                    let left = started(&self.partitions);
                    tracing::warn!(left, "records were left uncommitted at the drain deadline");
                    return;
                }
            }
        }
    }
}

/// Repeats an effect until it is acknowledged. Never gives up: giving up would be a loss.
struct Again {
    handler: Arc<dyn Handler>,
    service: &'static str,
    random: Random,
    retries: RetryLog,
}

impl Again {
    async fn until_acknowledged(&self, first: Effect, record: &Record) {
        let mut effect = first;
        let mut backoff = Backoff::new(RETRY, self.random.clone());
        while let Err(Retry(why)) = effect.await {
            Metric::EffectRetries.count(self.service, &[&record.topic]);
            self.retries.note(record, &why);
            tokio::time::sleep(backoff.next_wait()).await;
            effect = self.restart(record).await;
        }
    }

    async fn restart(&self, record: &Record) -> Effect {
        loop {
            match self.handler.start(record) {
                Ok(effect) => return effect,
                Err(Full) => self.handler.room().await,
            }
        }
    }
}
