//! When an account's state is worth a record: soon after it changed, at most once a second, numbers
//! alone less often; and once a minute without any change, so that a silent owner is seen. No I/O.

use std::time::Duration;

use chat4all_contracts::{AccountCondition, EpochMs};
use tokio::time::Instant;

use crate::steering::{Orders, Sign};

/// The least time between two states.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// The least time between two states that differ only in numbers.
const NUMBERS_EVERY: Duration = Duration::from_secs(5);

/// The longest time between two states.
pub const AT_LEAST_EVERY: Duration = Duration::from_secs(60);

/// What has been published of one account.
#[derive(Debug, Default)]
pub struct Published {
    last: Option<Last>,
    /// The condition, and since when.
    since: Option<(AccountCondition, EpochMs)>,
    /// Whether a state is on its way into the log.
    under_way: bool,
}

#[derive(Debug)]
struct Last {
    at: Instant,
    orders: Orders,
    sign: Sign,
}

impl Published {
    /// When the next state is due, if `orders` and `sign` stay as they are; `None` = not before the
    /// one under way is acknowledged.
    pub fn due(&self, orders: Orders, sign: Sign, now: Instant) -> Option<Instant> {
        if self.under_way {
            return None;
        }
        let Some(last) = &self.last else { return Some(now) };
        let after = if last.orders != orders || last.sign.differs_much(&sign) {
            AT_MOST_EVERY
        } else if last.sign != sign {
            NUMBERS_EVERY
        } else {
            AT_LEAST_EVERY
        };
        Some(last.at + after)
    }

    /// Whether the last state says something else.
    pub fn is_outdated(&self, orders: Orders, sign: Sign) -> bool {
        self.last.as_ref().is_none_or(|last| last.orders != orders || last.sign != sign)
    }

    /// A state is being published; answers since when the account is as it is.
    pub fn begin(&mut self, orders: Orders, sign: Sign, at: Instant, now: EpochMs) -> EpochMs {
        self.under_way = true;
        self.last = Some(Last { at, orders, sign });
        let is_same = |(condition, _): &(AccountCondition, EpochMs)| *condition == sign.condition;
        let since = self.since.filter(is_same).map_or(now, |(_, since)| since);
        self.since = Some((sign.condition, since));
        since
    }

    /// The state under way is in the log.
    pub fn acknowledged(&mut self) {
        self.under_way = false;
    }

    /// Somebody else speaks for the account now: what we said last is no longer what is there.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn changes_are_told_once_a_second_numbers_less_often_and_silence_never_lasts() {
        let (start, mut published) = (Instant::now(), Published::default());
        let (orders, idle) = (Orders::default(), Sign::IDLE);
        let seconds = |n| Some(start + Duration::from_secs(n));
        let at = EpochMs::saturating;
        assert_eq!(published.due(orders, idle, start), Some(start));
        assert_eq!(published.begin(orders, idle, start, at(100)), at(100));
        assert_eq!(published.due(orders, idle, start), None, "one at a time");
        published.acknowledged();
        assert_eq!(published.due(orders, idle, start), seconds(60));
        let busy = Sign { in_flight: 3, ..idle };
        assert_eq!(published.due(orders, busy, start), seconds(1));
        published.begin(orders, busy, start, at(200));
        published.acknowledged();
        let busier = Sign { in_flight: 9, parked: 70, ..idle };
        assert_eq!(published.due(orders, busier, start), seconds(5));
        let paused = Orders { paused: true, applied: Some(3) };
        assert_eq!(published.due(paused, busier, start), seconds(1));
        published.forget();
        assert_eq!(published.due(orders, busy, start), Some(start));
    }

    #[tokio::test(start_paused = true)]
    async fn a_condition_keeps_its_beginning_as_long_as_it_lasts() {
        let (now, mut published) = (Instant::now(), Published::default());
        let at = EpochMs::saturating;
        let open = Sign { condition: AccountCondition::Open, ..Sign::IDLE };
        let parked = Sign { parked: 5, ..open };
        assert_eq!(published.begin(Orders::default(), open, now, at(1)), at(1));
        assert_eq!(published.begin(Orders::default(), parked, now, at(2)), at(1));
        assert_eq!(published.begin(Orders::default(), Sign::IDLE, now, at(3)), at(3));
    }
}
