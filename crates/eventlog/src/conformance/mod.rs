//! The one suite that every adapter of the log passes.
//!
//! An adapter implements [`Harness`] in its tests and calls
//! [`eventlog_conformance!`](crate::eventlog_conformance). The cases count on nothing that a broker
//! could not promise: offsets may have gaps, a rebalance may take its time, and members need not
//! know of each other at once. Waiting is for events; [`PATIENCE`] only bounds a failure.

// The suite is test code that lives in the library so that other crates' adapters can run it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

pub mod appending;
pub mod consuming;
pub mod following;
pub mod handing_over;
pub mod losing;
pub mod reading;
pub mod running_full;

mod kit;
mod member;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::EpochMs;

use crate::EventLog;

/// How long a case waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long the suite's topics keep a record.
pub const RETENTION: Duration = Duration::from_secs(24 * 3600);

/// The timestamp, in milliseconds, of records that [`Harness::expire`] removes.
pub const OLD_MS: u64 = 1_600_000_000_000;

/// The timestamp, in milliseconds, of records that [`Harness::expire`] keeps.
pub const NEW_MS: u64 = 1_700_000_000_000;

/// How the names of the suite's compacted topics end.
pub const COMPACTED: &str = "-compacted";

/// The time at which retention runs in [`Harness::expire`].
pub fn expire_at() -> EpochMs {
    EpochMs::saturating(NEW_MS).plus(RETENTION / 2)
}

/// What a case needs of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The longest record.
    pub max_record_bytes: usize,
    /// The most records in a producer's queue.
    pub queue_records: usize,
    /// How much fits.
    pub room: Space,
}

/// How much fits into a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// More than any case writes.
    Plenty,
    /// About 2 MiB, and then it is full.
    Little,
    /// Plenty, but below the floor under which new work is refused.
    UnderTheFloor,
}

impl Default for Setup {
    fn default() -> Self {
        Self { max_record_bytes: 256 << 10, queue_records: 10_000, room: Space::Plenty }
    }
}

/// One log of the adapter under test.
pub trait Harness: Sized + Send + Sync + 'static {
    /// A fresh, empty log; `None` if the adapter has nothing like `setup`: the case is skipped.
    fn open(setup: Setup) -> impl Future<Output = Option<Self>> + Send;

    /// The log.
    fn log(&self) -> Arc<dyn EventLog>;

    /// Opens the same log again, as after a kill. Every handle on it has been dropped before.
    fn reopen(self) -> impl Future<Output = Self> + Send;

    /// Lets retention run at [`expire_at`]: of every partition, the records before the first one of
    /// [`NEW_MS`] are gone when it returns. Of a topic whose name ends in [`COMPACTED`], what newer
    /// records replace may be gone.
    fn expire(&self) -> impl Future<Output = ()> + Send;

    /// The real name of a topic or group, for logs that cases share.
    fn name(&self, name: &str) -> String {
        name.to_owned()
    }
}

/// Makes one test of every case: `eventlog_conformance!(MyHarness)`, or, with an attribute of one's
/// own, `eventlog_conformance!(MyHarness, tokio::test(start_paused = true))`.
#[macro_export]
macro_rules! eventlog_conformance {
    ($harness:ty) => {
        $crate::eventlog_conformance!($harness, tokio::test);
    };
    ($harness:ty, $($test:tt)+) => {
        $crate::eventlog_conformance! { @cases $harness, [$($test)+],
            appending::many_producers_share_one_order,
            appending::records_are_written_in_the_order_of_the_calls,
            appending::a_dropped_ack_still_writes,
            appending::every_part_of_a_record_comes_back,
            appending::a_record_over_the_limit_is_refused_alone,
            appending::an_unknown_partition_is_refused,
            appending::a_full_queue_hands_the_record_back,
            appending::topics_are_made_once_and_never_changed,
            appending::a_topic_of_named_partitions_grows_and_never_shrinks,
            consuming::an_unclean_stop_redelivers_from_the_last_commit,
            consuming::after_commit_and_close_nothing_is_redelivered,
            consuming::a_note_comes_back_byte_for_byte,
            consuming::a_note_too_long_is_refused_alone,
            consuming::every_group_gets_every_record,
            consuming::a_paused_partition_is_silent_and_the_others_go_on,
            consuming::an_idle_consumer_gets_everything_in_batches,
            consuming::next_may_be_cancelled_without_losing_an_event,
            consuming::a_waiting_consumer_hears_of_a_new_record,
            consuming::a_closed_consumer_says_so,
            consuming::restart_begins_again_at_the_last_commit,
            consuming::a_stale_commit_is_refused_alone,
            consuming::anybody_sees_what_a_group_has_committed,
            following::a_follower_reads_everything_says_so_and_goes_on,
            following::a_follower_of_an_empty_partition_has_caught_up_at_once,
            following::every_follower_gets_every_record,
            following::following_may_be_cancelled_without_losing_a_record,
            following::an_unknown_partition_cannot_be_followed,
            following::the_newest_record_of_every_key_stays,
            following::a_topic_keeps_its_way_of_cleaning_up,
            handing_over::a_second_member_begins_where_the_first_committed,
            handing_over::a_leaving_member_hands_over_without_redelivery,
            handing_over::a_dropped_member_is_replaced_at_its_last_commit,
            handing_over::the_deadline_overrules_a_member_that_keeps_its_partitions,
            losing::a_group_without_commit_on_a_shortened_log_is_stopped,
            losing::a_commit_that_fell_out_of_the_log_is_stopped,
            losing::a_commit_beyond_the_end_is_stopped,
            losing::a_stopped_partition_leaves_the_others_alone,
            reading::a_range_is_read_within_its_bounds,
            reading::bounds_follow_appends_and_retention,
            reading::a_log_answers,
            running_full::a_full_log_refuses_and_still_reads,
            running_full::a_patient_producer_keeps_its_order_through_a_full_log,
            running_full::what_a_full_log_holds_back_is_bounded,
            running_full::new_work_is_refused_first,
        }
    };
    (@cases $harness:ty, $test:tt, $($group:ident :: $case:ident),+ $(,)?) => {
        $( $crate::eventlog_conformance!(@case $harness, $test, $group, $case); )+
    };
    (@case $harness:ty, [$($test:tt)+], $group:ident, $case:ident) => {
        #[$($test)+]
        async fn $case() {
            $crate::conformance::$group::$case::<$harness>().await;
        }
    };
}
