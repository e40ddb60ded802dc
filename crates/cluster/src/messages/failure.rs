//! How statements end: with a time limit, and with an error that names the server.

use std::{fmt, time::Duration};

use clickhouse::error::Error;
use tokio::time::timeout;

/// Most characters of a server's error text that are shown.
const TEXT_MAX: usize = 400;

/// Why a server did not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaFailure {
    /// ClickHouse's number of the error. None if no such answer came.
    pub code: Option<u32>,
    /// The server.
    pub url: String,
    /// What happened.
    pub what: String,
}

impl fmt::Display for ReplicaFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.what)
    }
}

impl ReplicaFailure {
    /// True if the question itself is too large, so that another replica would refuse it, too. Sources: ClickHouse's
    /// TOO_MANY_ROWS, TIMEOUT_EXCEEDED, TOO_SLOW, MEMORY_LIMIT_EXCEEDED, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES.
    pub fn is_of_the_question(&self) -> bool {
        matches!(self.code, Some(158 | 159 | 160 | 241 | 307 | 396))
    }
}

/// Runs a statement with a time limit, and says where it failed.
pub async fn within<T>(
    url: &str,
    time: Duration,
    statement: impl Future<Output = Result<T, Error>>,
) -> Result<T, ReplicaFailure> {
    match timeout(time, statement).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(failure(url, &error)),
        Err(_) => {
            let what = format!("no answer within {} ms", time.as_millis());
            Err(ReplicaFailure { code: None, url: url.to_owned(), what })
        }
    }
}

fn failure(url: &str, error: &Error) -> ReplicaFailure {
    // The outer texts of a network error say little.
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let what = match causes.last() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    let code = match error {
        Error::BadResponse(answer) => code_of(answer),
        _ => None,
    };
    ReplicaFailure { code, url: url.to_owned(), what: what.chars().take(TEXT_MAX).collect() }
}

/// The number in `Code: 241. DB::Exception: …`.
fn code_of(answer: &str) -> Option<u32> {
    let (_, rest) = answer.split_once("Code: ")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_error_is_read_from_its_text() {
        let of = |text: &str| failure("http://a", &Error::BadResponse(text.to_owned()));
        assert_eq!(of("Code: 241. DB::Exception: Memory limit").code, Some(241));
        assert!(of("Code: 159. DB::Exception: Timeout exceeded").is_of_the_question());
        assert_eq!(of("502 Bad Gateway").code, None);
        assert!(!of("Code: 242. DB::Exception: read-only").is_of_the_question());
        assert_eq!(failure("http://a", &Error::TimedOut).to_string(), "http://a: timeout expired");
        assert!(of(&"x".repeat(10_000)).what.len() <= TEXT_MAX);
    }
}
