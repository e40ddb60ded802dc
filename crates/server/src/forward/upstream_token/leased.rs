//! Fetching a real token once for several processes. One takes a lease in a turn, asks WeChat without a turn, and stores
//! the token in a second turn if the lease is still its own. The others wait for that token.

use std::time::Duration;

use storage::{
    decision::{Decided, Decision},
    store::{Change, NotDurable},
};
use system::secret::Secret;
use tokio::time::{Instant, sleep};

use super::{
    RETRY_S, TokenFailure, UpstreamToken, UpstreamTokens,
    account_token::{AccountToken, Fetching},
    lease::Lease,
    stored_token::TokenRecord,
};
use crate::accounts::registry::ServedAccount;

/// Longest time to wait for another process. Longer than a lease.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// How often a waiting process reads what the others decided.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Who fetches the token.
enum FetchRight {
    /// Nobody: this token will do.
    Known(UpstreamToken),
    /// This process.
    Mine(Lease),
    /// Another process, for at most this time.
    Another(Lease, Duration),
}

impl UpstreamTokens {
    /// A token other than the refused one, for all processes.
    pub(super) async fn fetch_for_all(
        &self,
        account: &ServedAccount,
        account_token: &AccountToken,
        fetching: &mut Fetching,
        refused: Option<&Secret>,
    ) -> Result<UpstreamToken, TokenFailure> {
        let is_refused =
            |token: &UpstreamToken| refused.is_some_and(|refused| token.token.matches(refused.reveal()));
        let lease = match self.turn(account, account_token, |token, _| !is_refused(token)).await? {
            Ok(token) => return Ok(token),
            Err(lease) => lease,
        };
        let fetched = match self.ask(account, account_token, fetching, false).await {
            Ok(fetched) => fetched,
            Err(failure) => return Err(self.give_up(account, account_token, &lease, failure).await),
        };
        if is_refused(&fetched) {
            return self.force_for_all(account, account_token, fetching, (lease, fetched)).await;
        }
        // A token that WeChat refused is no longer accepted from any caller.
        self.keep(account, account_token, &lease, (fetched, refused.is_some())).await
    }

    /// Renews a token that is still valid. Waits for nobody.
    pub(super) async fn renew_for_all(
        &self,
        account: &ServedAccount,
        account_token: &AccountToken,
        fetching: &mut Fetching,
    ) -> Result<(), TokenFailure> {
        let is_young = |token: &UpstreamToken, now_s| now_s < token.renew_s;
        let lease = match self.try_turn(account, account_token, is_young).await? {
            FetchRight::Known(_) => return Ok(()),
            FetchRight::Another(..) => {
                account_token.renew_at(self.clock.now_s() + RETRY_S);
                return Ok(());
            }
            FetchRight::Mine(lease) => lease,
        };
        match self.ask(account, account_token, fetching, false).await {
            Ok(fetched) => self.keep(account, account_token, &lease, (fetched, false)).await.map(drop),
            Err(failure) => Err(self.give_up(account, account_token, &lease, failure).await),
        }
    }

    /// Deletes the token of a removed account for all processes.
    pub(super) async fn forget_for_all(&self, appid: &str, account_token: &AccountToken) {
        let forgotten = async {
            let decision = self.store.decide().await?;
            let record = TokenRecord { forced: account_token.record().forced, ..TokenRecord::default() };
            self.commit(decision, appid, account_token, (record, None)).await
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, appid, "the real token of a removed account is still stored");
        }
    }

    async fn force_for_all(
        &self,
        account: &ServedAccount,
        account_token: &AccountToken,
        fetching: &mut Fetching,
        (lease, same): (Lease, UpstreamToken),
    ) -> Result<UpstreamToken, TokenFailure> {
        let appid = &account.config.appid;
        let decision = self.store.decide().await.map_err(unreachable)?;
        if account_token.lease().as_ref() != Some(&lease) {
            return self.overtaken(account, account_token, &same);
        }
        let now_s = decision.now_s(&self.clock);
        let mut record = account_token.record();
        record.replace(same.clone());
        record.previous = None;
        if !record.forced.may_force(now_s) {
            fetching.same_at_s = Some(self.clock.now_s());
            self.commit(decision, appid, account_token, (record, None)).await.map_err(unreachable)?;
            return Ok(same);
        }
        // Recorded before the request, so that no process forces another one.
        record.forced.record(now_s);
        let lease = lease.extended(now_s);
        self.commit(decision, appid, account_token, (record, Some(lease.clone())))
            .await
            .map_err(unreachable)?;
        match self.ask(account, account_token, fetching, true).await {
            Ok(forced) => self.keep(account, account_token, &lease, (forced, true)).await,
            Err(failure) => Err(self.give_up(account, account_token, &lease, failure).await),
        }
    }

    /// Stores a fetched token and ends the lease. `ends_previous`: the previous token is no longer accepted.
    async fn keep(
        &self,
        account: &ServedAccount,
        account_token: &AccountToken,
        lease: &Lease,
        (token, ends_previous): (UpstreamToken, bool),
    ) -> Result<UpstreamToken, TokenFailure> {
        let decision = self.store.decide().await.map_err(unreachable)?;
        if account_token.lease().as_ref() != Some(lease) {
            return self.overtaken(account, account_token, &token);
        }
        let mut record = account_token.record();
        record.replace(token.clone());
        if ends_previous {
            record.previous = None;
        }
        let appid = &account.config.appid;
        self.commit(decision, appid, account_token, (record, None)).await.map_err(unreachable)?;
        Ok(token)
    }

    /// The lease ended before the answer was stored. Another process may have forced a newer token.
    fn overtaken(
        &self,
        account: &ServedAccount,
        account_token: &AccountToken,
        late: &UpstreamToken,
    ) -> Result<UpstreamToken, TokenFailure> {
        let known = account_token.valid(self, account, self.clock.now_s());
        known.filter(|known| known.fetched_s >= late.fetched_s).ok_or_else(|| {
            TokenFailure::Unreachable(
                "the answer came late, and another process fetches the token".to_owned(),
            )
        })
    }

    /// Ends the lease after a failure, which is returned. If that fails too, the lease ends by itself.
    async fn give_up(
        &self,
        account: &ServedAccount,
        account_token: &AccountToken,
        lease: &Lease,
        failure: TokenFailure,
    ) -> TokenFailure {
        let ended = async {
            let decision = self.store.decide().await?;
            if account_token.lease().as_ref() == Some(lease) {
                let end = vec![Lease::end(&account.config.appid)];
                let decided = decision.commit(&self.ingest, end).await?;
                account_token.set_lease(None);
                drop(decided);
            }
            Ok::<(), NotDurable>(())
        };
        if let Err(error) = ended.await {
            tracing::warn!(%error, appid = account.config.appid, "other processes wait some seconds for a real token");
        }
        failure
    }

    /// Waits until a token is known that will do, or until this process may fetch one.
    async fn turn(
        &self,
        account: &ServedAccount,
        account_token: &AccountToken,
        is_good: impl Fn(&UpstreamToken, i64) -> bool,
    ) -> Result<Result<UpstreamToken, Lease>, TokenFailure> {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let (lease, left) = match self.try_turn(account, account_token, &is_good).await? {
                FetchRight::Known(token) => return Ok(Ok(token)),
                FetchRight::Mine(lease) => return Ok(Err(lease)),
                FetchRight::Another(lease, left) => (lease, left),
            };
            if Instant::now() >= deadline {
                let why = format!("another process gave no token within {} s", WAIT_MAX.as_secs());
                return Err(TokenFailure::Unreachable(why));
            }
            let until = deadline.min(Instant::now() + left);
            while account_token.lease().as_ref() == Some(&lease) && Instant::now() < until {
                tokio::select! {
                    () = account_token.changed.notified() => {}
                    () = sleep(LOOK_EVERY) => {}
                }
                self.store.fresh().await.map_err(unreachable)?;
            }
        }
    }

    /// Takes the lease, unless a token will do or another process has it.
    async fn try_turn(
        &self,
        account: &ServedAccount,
        account_token: &AccountToken,
        is_good: impl Fn(&UpstreamToken, i64) -> bool,
    ) -> Result<FetchRight, TokenFailure> {
        let decision = self.store.decide().await.map_err(unreachable)?;
        let now_s = self.clock.now_s();
        let known = account_token.valid(self, account, now_s).filter(|token| is_good(token, now_s));
        if let Some(token) = known {
            return Ok(FetchRight::Known(token));
        }
        let now_s = decision.now_s(&self.clock);
        if let Some(lease) = account_token.lease()
            && let Ok(left_s @ 1..) = u64::try_from(lease.until_s - now_s)
        {
            return Ok(FetchRight::Another(lease, Duration::from_secs(left_s)));
        }
        let lease = Lease::new(now_s).map_err(|error| TokenFailure::Unreachable(error.to_string()))?;
        let taken = decision.commit(&self.ingest, vec![lease.fact(&account.config.appid)]).await;
        let decided = taken.map_err(unreachable)?;
        account_token.set_lease(Some(lease.clone()));
        drop(decided);
        Ok(FetchRight::Mine(lease))
    }

    async fn commit(
        &self,
        decision: Decision,
        appid: &str,
        account_token: &AccountToken,
        (record, lease): (TokenRecord, Option<Lease>),
    ) -> Result<(), NotDurable> {
        let fact = record.fact(&self.key, appid).map_err(|error| NotDurable(error.to_string()))?;
        let lease_fact: Change = lease.as_ref().map_or_else(|| Lease::end(appid), |lease| lease.fact(appid));
        let decided: Decided = decision.commit(&self.ingest, vec![fact, lease_fact]).await?;
        account_token.update(|known| *known = record);
        account_token.set_lease(lease);
        account_token.changed.notify_waiters();
        drop(decided);
        Ok(())
    }
}

fn unreachable(error: NotDurable) -> TokenFailure {
    TokenFailure::Unreachable(error.0)
}
