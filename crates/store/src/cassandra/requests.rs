//! Requests to the database: bounded in number and in time.

use std::time::Duration;

use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::response::query_result::{QueryResult, QueryRowsResult};
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::away;
use super::limiter::Limiter;
use crate::StoreError;

/// A session, and how much may be asked of it at once.
pub(super) struct Requests {
    session: Session,
    calls: Limiter,
    room: Semaphore,
    time_limit: Duration,
    /// An answer after this is late.
    late: Duration,
}

/// A call that takes more than this part of its time limit shows that too many are under way.
const LATE: u32 = 4;

impl Requests {
    pub(super) fn new(session: Session, max_in_flight: usize, time_limit: Duration) -> Self {
        let late = time_limit / LATE;
        let (calls, room) = (Limiter::new(max_in_flight, late), Semaphore::new(max_in_flight));
        Self { session, calls, room, time_limit, late }
    }

    /// Runs a call of the port: all its requests, and its waits for room, within the time limit. What
    /// has to be waited for before is no matter of the database's, and is held until the end.
    ///
    /// A call that has its turn has time left that shows whether the database is late: otherwise those
    /// that have waited longest would come first, and all fail.
    pub(super) async fn within_limit<B, T>(
        &self,
        before: impl Future<Output = B>,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.time_limit;
        let place = async { (before.await, self.calls.turn().await) };
        let Ok((_before, turn)) = timeout_at(deadline - self.late, place).await else {
            return Err(self.no_answer());
        };
        let answer = timeout_at(deadline, call).await;
        let is_refused = matches!(answer, Err(_) | Ok(Err(StoreError::Unavailable(_))));
        turn.ended(is_refused);
        answer.unwrap_or_else(|_| Err(self.no_answer()))
    }

    /// Runs a call beside all others: for a question that must not wait behind them.
    pub(super) async fn at_once<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let answer = timeout(self.time_limit, call).await;
        answer.unwrap_or_else(|_| Err(self.no_answer()))
    }

    fn no_answer(&self) -> StoreError {
        let (ms, window) = (self.time_limit.as_millis(), self.calls.window());
        StoreError::Unavailable(format!("no answer within {ms} ms, with {window} calls at once"))
    }

    /// Waits for its turn. The semaphore is never closed, so there is always a turn.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.room.acquire().await.ok()
    }

    /// One statement, with whatever it answers.
    pub(super) async fn execute(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<QueryResult, ExecutionError> {
        let _turn = self.turn().await;
        self.session.execute_unpaged(statement, values).await
    }

    /// One statement that answers nothing.
    pub(super) async fn write(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<(), StoreError> {
        self.execute(statement, values).await.map(drop).map_err(|error| away(&error))
    }

    /// Statements on ONE partition, written as one mutation.
    pub(super) async fn write_together<T: SerializeRow>(
        &self,
        statements: &[&PreparedStatement],
        values: &[T],
    ) -> Result<(), StoreError> {
        if let ([statement], [values]) = (statements, values) {
            return self.write(statement, values).await;
        }
        let _turn = self.turn().await;
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_is_idempotent(statements.iter().all(|statement| statement.get_is_idempotent()));
        for statement in statements {
            batch.append_statement((*statement).clone());
        }
        self.session.batch(&batch, values).await.map(drop).map_err(|error| away(&error))
    }

    /// One statement that answers rows. The caller bounds how many.
    pub(super) async fn read(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<QueryRowsResult, StoreError> {
        let result = self.execute(statement, values).await.map_err(|error| away(&error))?;
        result.into_rows_result().map_err(|_| unreadable("an answer without rows"))
    }
}

/// A row that holds what cannot be. Names the place and never the value (I10).
pub(super) fn unreadable(what: &str) -> StoreError {
    StoreError::Unreadable(what.to_owned())
}
