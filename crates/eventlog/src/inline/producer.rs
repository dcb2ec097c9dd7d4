//! Appends to memory. The caller's own future is all that waits.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Future, ready};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::Inner;
use super::state::Held;
use crate::producer::{Ack, AppendError, Patience, Producer, ProducerOptions};
use crate::record::{NewRecord, Position};
use crate::room::{Place, QueueBounds, Room};

pub(super) struct InlineProducer {
    log: Arc<Inner>,
    id: u64,
    options: ProducerOptions,
    room: Room,
}

enum Written {
    /// The place is the acknowledgement's.
    Now(Position, Place),
    /// Held, with its place, until there is room.
    Later(oneshot::Receiver<Position>),
    Refused(AppendError),
}

impl InlineProducer {
    pub(super) fn new(log: Arc<Inner>, options: ProducerOptions, bounds: QueueBounds) -> Self {
        let id = log.with(super::State::new_producer);
        Self { log, id, options, room: Room::new(bounds) }
    }

    fn write(&self, record: NewRecord, place: Place) -> Written {
        let admission = self.options.admission;
        self.log.with(|state| {
            if state.bounds(&record.to).is_none() {
                return Written::Refused(AppendError::UnknownPartition);
            }
            // Behind a held record everything of the same producer waits: order before speed.
            if !state.holds(self.id) && state.has_room(record.size(), admission) {
                return match state.append(record) {
                    Some(position) => Written::Now(position, place),
                    None => Written::Refused(AppendError::UnknownPartition),
                };
            }
            match self.options.patience {
                Patience::GiveUpAfter(_) => Written::Refused(AppendError::Full),
                Patience::Forever => {
                    let (reply, position) = oneshot::channel();
                    state.hold(self.id, Held { record, admission, reply, _place: place });
                    Written::Later(position)
                }
            }
        })
    }

    fn draw_delay(&self) -> Duration {
        let delay = self.log.options.ack_delay;
        delay.map_or(Duration::ZERO, |(low, high)| self.log.random.duration_between(low, high))
    }

    /// When the position is acknowledged, or the producer's patience ends before that.
    fn acknowledge(
        &self,
        place: Option<Place>,
        position: impl Future<Output = Result<Position, AppendError>> + Send + 'static,
    ) -> Ack {
        let (delay, now) = (self.draw_delay(), Instant::now());
        let gives_up = match self.options.patience {
            Patience::GiveUpAfter(after) => (after < delay).then_some(after),
            Patience::Forever => None,
        };
        async move {
            let _place = place;
            let wait = gives_up.unwrap_or(delay);
            if !wait.is_zero() {
                sleep_until(now + wait).await;
            }
            match gives_up {
                Some(_) => Err(AppendError::Unavailable("not in time".to_owned())),
                None => position.await,
            }
        }
        .boxed()
    }
}

impl Producer for InlineProducer {
    fn enqueue(&self, record: NewRecord) -> Result<Ack, Box<NewRecord>> {
        let (bytes, max) = (record.size(), self.log.options.max_record_bytes);
        if bytes > max {
            return Ok(ready(Err(AppendError::TooLarge { bytes, max })).boxed());
        }
        let Some(place) = self.room.take(bytes) else { return Err(Box::new(record)) };
        let at = record.to.clone();
        match self.write(record, place) {
            Written::Refused(error) => Ok(ready(Err(error)).boxed()),
            Written::Now(position, place) => {
                self.log.groups.appended(&[at]);
                Ok(self.acknowledge(Some(place), ready(Ok(position))))
            }
            Written::Later(position) => {
                let position = position.map(|answer| answer.map_err(|_| AppendError::Closed));
                Ok(self.acknowledge(None, position))
            }
        }
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        self.room.wait().boxed()
    }
}

impl Drop for InlineProducer {
    fn drop(&mut self) {
        self.log.with(|state| state.forget(self.id));
    }
}
