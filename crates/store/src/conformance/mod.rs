//! The one suite that every adapter passes. `store_conformance!` makes a test of every case.
//!
//! A case knows the port and the projection, never an adapter. It takes times as data and waits
//! for nothing, so it cannot depend on timing. Ends of life are checked a second before and after,
//! because a database may keep them in seconds.

// These are tests, though the compiler does not know it: other crates run them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod claims;
mod fixture;
mod keeping;
mod letters;
mod meetings;
mod merging;
mod open;
mod pages;

use std::sync::Arc;

use futures::future::BoxFuture;

pub use claims::*;
pub use keeping::*;
pub use letters::*;
pub use meetings::*;
pub use merging::*;
pub use open::*;
pub use pages::*;

use crate::MessageStore;

/// Makes the stores of an adapter.
pub trait Factory: Send + Sync {
    /// A store without any data.
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn MessageStore>>;

    /// The last fresh store after it was closed and opened again; `None` if it forgets everything
    /// by then. `closed` must be dropped before the opening.
    fn reopen(&self, closed: Arc<dyn MessageStore>)
    -> BoxFuture<'_, Option<Arc<dyn MessageStore>>>;
}

/// Makes one `#[tokio::test]` of every case, for the factory that the expression makes. The
/// calling crate needs tokio with `macros` and `rt`.
#[macro_export]
macro_rules! store_conformance {
    ($factory:expr) => {
        $crate::store_conformance! { @cases $factory;
            a_page_is_newest_first_and_ends,
            messages_of_one_millisecond_are_ordered_by_id,
            pages_stay_stable_while_messages_arrive,
            ten_thousand_messages_are_paged_exactly_once,
            rows_without_content_are_not_shown,
            shuffled_and_repeated_reports_merge_as_the_fold,
            the_content_of_the_higher_generation_stays,
            the_first_content_of_a_generation_stays,
            content_keeps_the_status_that_came_before_it,
            of_fifty_claims_at_once_exactly_one_wins,
            a_message_id_and_a_key_are_claimed_apart,
            a_claim_past_its_end_can_be_taken_again,
            a_status_and_its_row_meet_in_both_orders,
            a_receipt_and_its_row_meet_in_both_orders,
            an_early_status_leads_receipts_to_its_row,
            a_receipt_of_an_earlier_life_counts_only_as_evidence,
            early_reports_wait_until_their_end,
            a_repeated_report_waits_until_its_later_end,
            the_account_and_the_platform_are_part_of_a_meeting_place,
            open_messages_are_shown_once_over_all_pages,
            an_outcome_settles_an_open_message,
            a_redriven_message_is_open_again,
            shards_divide_the_open_messages,
            only_messages_of_the_tenant_with_content_are_open,
            tenants_do_not_see_each_other,
            long_and_unusual_texts_come_back_unchanged,
            everything_may_be_repeated,
            a_sweep_forgets_only_what_is_past_its_end,
            what_was_written_is_there_after_reopening,
            a_store_that_is_there_answers,
            a_letter_comes_back_as_it_was_written,
            a_repeated_letter_is_one_letter,
            letters_are_listed_oldest_first,
            what_was_done_with_a_letter_stays,
            a_letter_is_listed_while_its_life_is_current_and_failed,
            every_failure_has_a_letter,
            a_list_is_about_what_its_filter_names,
            a_list_is_bounded_and_finds_everything,
            commands_are_listed_newest_first,
            letters_and_commands_are_kept_until_their_end,
        }
    };
    (@cases $factory:expr; $($case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::conformance::$case(&$factory).await;
            }
        )*
    };
}
