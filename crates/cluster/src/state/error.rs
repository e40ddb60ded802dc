//! Why something about the shared state failed. No error contains a password or a stored value.

use deadpool::managed::PoolError;
use tokio_postgres::error::SqlState;

/// Why the shared state did not do what was asked. Except for `OutcomeUnknown`, nothing was stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The address is wrong.
    #[error("the address of PostgreSQL: {0}")]
    Address(String),
    /// No answer: it is away, too slow, or read-only.
    #[error("PostgreSQL cannot be reached: {0}")]
    Unreachable(String),
    /// It answers, but confirms no write, so what it says may be old.
    #[error("PostgreSQL confirmed no write within {0} s; is its standby away, or is it a former primary?")]
    NotConfirmed(u64),
    /// PostgreSQL refused a statement.
    #[error("PostgreSQL refused: {0}")]
    Refused(String),
    /// Others held their turns for too long.
    #[error(
        "no lock in PostgreSQL within 10 s: another process holds it, or PostgreSQL waits for its standby"
    )]
    Busy,
    /// A turn was held for longer than 3 s, or its connection was lost before it was committed.
    #[error("the lock in PostgreSQL was lost before the change was committed; nothing was stored")]
    TurnLost,
    /// The answer to a commit was lost, and it could not be found out whether it was stored. The next fence shows it.
    #[error("it is not known whether the decision was stored, because PostgreSQL went away: {0}")]
    OutcomeUnknown(String),
    /// There is no schema.
    #[error("the database in PostgreSQL has no schema of msgcube; make it with: msgcube store init")]
    NotInitialized,
    /// The schema belongs to another version or another number of shards.
    #[error("{0}")]
    Mismatch(String),
    /// The server would lose what it acknowledged, or is too old.
    #[error("{0}")]
    Unsuitable(String),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

impl StateError {
    /// Why none of several servers is of use.
    pub(super) fn of_hosts(failures: Vec<(String, StateError)>) -> StateError {
        let failures = match <[_; 1]>::try_from(failures) {
            Ok([(_, only)]) => return only,
            Err(failures) => failures,
        };
        let texts = failures.iter().map(|(host, error)| match error {
            StateError::Unreachable(text) => format!("{host}: {text}"),
            other => format!("{host}: {other}"),
        });
        StateError::Unreachable(texts.collect::<Vec<_>>().join("; "))
    }

    /// True if the connection that gave this error must not be used again.
    pub(super) fn is_of_connection(&self) -> bool {
        matches!(self, StateError::Unreachable(_) | StateError::NotConfirmed(_) | StateError::TurnLost)
    }
}

impl From<tokio_postgres::Error> for StateError {
    fn from(error: tokio_postgres::Error) -> StateError {
        let Some(refusal) = error.as_db_error() else {
            return StateError::Unreachable(explained(with_causes(&error)));
        };
        let code = refusal.code();
        let text = format!("{} (SQLSTATE {})", refusal.message(), code.code());
        if *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT {
            StateError::TurnLost
        } else if *code == SqlState::LOCK_NOT_AVAILABLE {
            StateError::Busy
        } else if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME {
            StateError::NotInitialized
        } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION || is_absence(code.code()) {
            StateError::Unreachable(text)
        } else {
            StateError::Refused(text)
        }
    }
}

/// Classes 08 (connection), 57 (shutdown, cancelled) and 53 (too many connections, disk full).
fn is_absence(code: &str) -> bool {
    ["08", "53", "57"].iter().any(|class| code.starts_with(class))
}

impl From<PoolError<StateError>> for StateError {
    fn from(error: PoolError<StateError>) -> StateError {
        match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(_) => StateError::Unreachable("no connection within 8 s".to_owned()),
            PoolError::PostCreateHook(_) | PoolError::Closed | PoolError::NoRuntimeSpecified => {
                StateError::Unreachable("the program is stopping".to_owned())
            }
        }
    }
}

fn explained(text: String) -> String {
    if text.contains("database does not allow writes") {
        return "it takes no writes; is the primary away, and no standby promoted?".to_owned();
    }
    text
}

/// The error with what it came from: the text of the outer one alone rarely helps.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
