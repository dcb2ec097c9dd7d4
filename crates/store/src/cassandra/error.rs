//! What the driver's errors mean.
//!
//! The server's own words are left out of what a call answers, because they may quote values (I10);
//! at the start, where no value was sent yet, they are kept.

use chat4all_process::ConfigError;
use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError,
    MetadataError, NewSessionError, PrepareError, RequestAttemptError,
};
use thiserror::Error;

use crate::StoreError;

/// Why there is no store yet.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// The database is away, or not ready: try again.
    #[error("the database is away: {0}")]
    Away(String),
    /// Trying again will not help.
    #[error("{0}")]
    Configuration(#[from] ConfigError),
}

/// What a call answers after an error of the driver. All of them may heal: a request that the
/// database refuses for good can only come from a schema that was changed under us.
pub(super) fn away(error: &ExecutionError) -> StoreError {
    StoreError::Unavailable(match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => {
            error.to_string()
        }
        other => other.to_string(),
    })
}

/// Whether a request that may not be repeated may have been carried out nevertheless.
pub(super) fn is_in_doubt(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => !matches!(
            error,
            DbError::Unavailable { .. }
                | DbError::Overloaded
                | DbError::IsBootstrapping
                | DbError::SyntaxError
                | DbError::Invalid
                | DbError::ConfigError
                | DbError::Unauthorized
                | DbError::AuthenticationError
                | DbError::ProtocolError
                | DbError::Unprepared { .. }
                | DbError::RateLimitReached { .. }
        ),
        ExecutionError::LastAttemptError(
            RequestAttemptError::UnableToAllocStreamId
            | RequestAttemptError::SerializationError(_)
            | RequestAttemptError::CqlRequestSerialization(_),
        ) => false,
        ExecutionError::BadQuery(_)
        | ExecutionError::EmptyPlan
        | ExecutionError::ConnectionPoolError(_)
        | ExecutionError::PrepareError(_) => false,
        _ => true,
    }
}

/// Why a session did not come about.
pub(super) fn no_session(error: &NewSessionError, section: &str) -> ConnectError {
    let setup = match error {
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(
            ConnectionPoolError::Broken { last_connection_error },
        )) => last_connection_error,
        NewSessionError::EmptyKnownNodesList | NewSessionError::IllegalConfig(_) => {
            return configuration(section, error.to_string(), "correct the section");
        }
        other => return ConnectError::Away(other.to_string()),
    };
    match setup {
        ConnectionError::ConnectionSetupRequestError(setup) => match &setup.error {
            ConnectionSetupRequestErrorKind::MissingAuthentication => {
                let rule = "is required: the nodes ask for a user";
                configuration(&format!("{section}.username"), rule.to_owned(), "give both")
            }
            ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, words) => {
                let rule = format!("was not accepted: {words}");
                configuration(&format!("{section}.username"), rule, "check username and password")
            }
            _ => ConnectError::Away(error.to_string()),
        },
        ConnectionError::IoError(io) => match io.get_ref().and_then(|e| e.downcast_ref()) {
            Some(tls @ rustls::Error::InvalidCertificate(_)) => {
                let fix = "give the authority that signed it, and the name that it carries";
                configuration(&format!("{section}.tls"), format!("a node's {tls}"), fix)
            }
            _ => ConnectError::Away(error.to_string()),
        },
        _ => ConnectError::Away(error.to_string()),
    }
}

/// Why the schema could not be read or changed.
pub(super) fn no_schema(error: &ExecutionError, section: &str) -> ConnectError {
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(kind, words)) => {
            refused(kind, words, section)
        }
        ExecutionError::PrepareError(error) => no_statement(error, section),
        other => ConnectError::Away(other.to_string()),
    }
}

/// Why a statement could not be prepared.
pub(super) fn no_statement(error: &PrepareError, section: &str) -> ConnectError {
    match error {
        PrepareError::AllAttemptsFailed {
            first_attempt: RequestAttemptError::DbError(kind, words),
        } => refused(kind, words, section),
        other => ConnectError::Away(other.to_string()),
    }
}

fn refused(kind: &DbError, words: &str, section: &str) -> ConnectError {
    let (key, fix) = match kind {
        DbError::Unauthorized => (
            format!("{section}.username"),
            "grant the user the keyspace, or create keyspace and tables as another user",
        ),
        DbError::SyntaxError | DbError::Invalid | DbError::ConfigError => (
            section.to_owned(),
            "check keyspace and replication; a keyspace of another program needs another name",
        ),
        _ => return ConnectError::Away(format!("{kind}: {words}")),
    };
    configuration(&key, format!("was refused by the database: {words}"), fix)
}

fn configuration(key: &str, rule: String, fix: &str) -> ConnectError {
    ConnectError::Configuration(ConfigError::missing(key, rule, fix))
}

#[cfg(test)]
mod tests {
    use scylla::errors::WriteType;
    use scylla::statement::Consistency;

    use super::*;

    fn answered(error: DbError) -> ExecutionError {
        let words = "Invalid value of column content: 'secret words'".to_owned();
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, words))
    }

    fn timeout() -> DbError {
        DbError::WriteTimeout {
            consistency: Consistency::LocalSerial,
            received: 1,
            required: 2,
            write_type: WriteType::Cas,
        }
    }

    #[test]
    fn the_servers_words_are_in_no_answer() {
        for error in [DbError::Invalid, timeout(), DbError::ServerError] {
            let StoreError::Unavailable(text) = away(&answered(error)) else { panic!("away") };
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn a_request_without_an_answer_is_in_doubt_and_a_refused_one_is_not() {
        assert!(is_in_doubt(&answered(timeout())));
        assert!(is_in_doubt(&answered(DbError::ServerError)));
        assert!(is_in_doubt(&ExecutionError::RequestTimeout(std::time::Duration::from_secs(1))));
        let unavailable =
            DbError::Unavailable { consistency: Consistency::LocalQuorum, required: 2, alive: 1 };
        assert!(!is_in_doubt(&answered(unavailable)));
        assert!(!is_in_doubt(&answered(DbError::Overloaded)));
        assert!(!is_in_doubt(&ExecutionError::EmptyPlan));
    }

    #[test]
    fn a_refused_user_is_configuration_and_an_unavailable_replica_is_not() {
        let of = |error| no_schema(&answered(error), "cassandra");
        let ConnectError::Configuration(error) = of(DbError::Unauthorized) else { panic!("64") };
        assert_eq!(error.key, "cassandra.username");
        assert!(matches!(of(DbError::ConfigError), ConnectError::Configuration(_)));
        assert!(matches!(of(timeout()), ConnectError::Away(_)));
    }
}
