//! Requests to the database: bounded in number and in time.

use std::time::Duration;

use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::response::query_result::{QueryResult, QueryRowsResult};
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::away;
use crate::StoreError;

/// A session, and how much may be asked of it at once.
pub(super) struct Requests {
    session: Session,
    room: Semaphore,
    time_limit: Duration,
}

impl Requests {
    pub(super) fn new(session: Session, max_in_flight: usize, time_limit: Duration) -> Self {
        Self { session, room: Semaphore::new(max_in_flight), time_limit }
    }

    /// Runs a call of the port: all its requests, and its waits for room, within the time limit.
    pub(super) async fn within_limit<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::time::timeout(self.time_limit, call).await.unwrap_or_else(|_| {
            let ms = self.time_limit.as_millis();
            Err(StoreError::Unavailable(format!("no answer within {ms} ms")))
        })
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
