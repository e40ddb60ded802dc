//! How many questions run at once, so that no account keeps the others waiting.

use std::{collections::HashMap, sync::Arc, time::Duration};

use system::sync::lock;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::error::ClickHouseError;

/// Questions of one account at once.
const OF_ACCOUNT_MAX: usize = 1;
/// Questions of this process at once.
const ALL_MAX: usize = 8;
/// Most time that a question waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Accounts are forgotten from this number on if they have no question.
const ACCOUNTS_KEPT: usize = 1024;

/// The turns of questions.
#[derive(Debug)]
pub struct Permits {
    all: Arc<Semaphore>,
    accounts: std::sync::Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
}

/// The turn of one question. It ends when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _account: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

impl Default for Permits {
    fn default() -> Permits {
        Permits { all: Arc::new(Semaphore::new(ALL_MAX)), accounts: std::sync::Mutex::default() }
    }
}

impl Permits {
    /// Waits for the turn of a question about one account, or about all.
    ///
    /// # Errors
    /// [`ClickHouseError::Busy`] after 10 s.
    pub async fn turn(&self, appid: Option<&str>) -> Result<Permit, ClickHouseError> {
        let account = appid.map(|appid| self.of_account(appid));
        let wait = async {
            // The account first: whoever waits for it takes no place of the process.
            let account = match account {
                Some(account) => Some(account.acquire_owned().await?),
                None => None,
            };
            Ok(Permit { _account: account, _all: self.all.clone().acquire_owned().await? })
        };
        let busy = ClickHouseError::Busy(WAIT_MAX);
        let permit: Result<Permit, tokio::sync::AcquireError> =
            timeout(WAIT_MAX, wait).await.map_err(|_| busy.clone())?;
        permit.map_err(|_| busy)
    }

    fn of_account(&self, appid: &str) -> Arc<Semaphore> {
        let mut accounts = lock(&self.accounts);
        if accounts.len() >= ACCOUNTS_KEPT {
            accounts.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        accounts.entry(appid.into()).or_insert_with(|| Arc::new(Semaphore::new(OF_ACCOUNT_MAX))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(test);
    }

    #[test]
    fn an_account_waits_for_itself_alone_and_is_told_after_a_while() {
        run(async {
            let permits = Permits::default();
            let first = permits.turn(Some("wx1")).await.unwrap();
            assert_eq!(permits.turn(Some("wx1")).await.unwrap_err(), ClickHouseError::Busy(WAIT_MAX));
            let _other = permits.turn(Some("wx2")).await.unwrap();
            drop(first);
            permits.turn(Some("wx1")).await.unwrap();
        });
    }

    #[test]
    fn a_process_asks_a_limited_number_of_questions_at_once() {
        run(async {
            let permits = Permits::default();
            let mut held = Vec::new();
            for number in 0..ALL_MAX {
                held.push(permits.turn(Some(&format!("wx{number}"))).await.unwrap());
            }
            assert!(permits.turn(None).await.is_err() && permits.turn(Some("wx")).await.is_err());
            held.pop();
            permits.turn(None).await.unwrap();
        });
    }

    #[test]
    fn accounts_without_a_question_are_forgotten() {
        run(async {
            let permits = Permits::default();
            let _held = permits.turn(Some("held")).await.unwrap();
            for number in 0..3 * ACCOUNTS_KEPT {
                permits.turn(Some(&format!("wx{number}"))).await.unwrap();
            }
            let accounts = lock(&permits.accounts);
            assert!(accounts.len() <= ACCOUNTS_KEPT && accounts.contains_key("held"));
        });
    }
}
