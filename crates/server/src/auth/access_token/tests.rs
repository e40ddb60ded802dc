//! Tokens compared with a model of the documented rules, and the cost of issuing one.

use std::sync::Arc;

use grants::REMOVED_TOGETHER;
use proptest::prelude::*;
use storage::store::Memory;

use super::{
    super::tests::{fact_changes, in_three_ways},
    *,
};

const START_S: i64 = 1_400_000_000;

/// Tokens on a store, at a time that the test sets.
struct TokenRun {
    tokens: Tokens,
    store: Arc<Store>,
    ingest: Ingest,
    writer: storage::writer::Writer,
    now_s: i64,
}

impl TokenRun {
    fn start() -> TokenRun {
        TokenRun::on(Memory::default())
    }

    fn on(memory: Memory) -> TokenRun {
        let store = Arc::new(Store::Memory(memory));
        let tokens = Tokens::load(DataKey::from_bytes([1; 32]), &store);
        let (ingest, writer) =
            Ingest::start(store.clone(), Clock::starting_at(START_S), Arc::default(), Vec::new());
        TokenRun { tokens, store, ingest, writer, now_s: START_S }
    }

    async fn issue(&self, holder: &Holder) -> String {
        let clock = Clock::starting_at(self.now_s);
        let issued = self.tokens.issue(holder.clone(), Vec::new(), &self.ingest, &clock).await;
        issued.unwrap().access_token
    }

    async fn issue_stable(&self, appid: &str, force: bool) -> String {
        let clock = Clock::starting_at(self.now_s);
        self.tokens.issue_stable(appid, force, &self.ingest, &clock).await.unwrap().access_token
    }

    /// The result of checking a token, with its holder if it is valid.
    fn check(&self, token: &str) -> Result<Holder, ErrorCode> {
        self.tokens.look_up(token, Holder::clone, self.now_s)
    }

    fn facts(&self) -> usize {
        self.store.facts(FACT_PREFIX).len()
    }

    /// How many of a holder's tokens issuing one more looks at, including those it removes.
    fn looked_at(&self, holder: &Holder) -> usize {
        let grants = self.tokens.read();
        grants.valid_until(holder, self.now_s + OVERLAP_S + 1..=i64::MAX).count()
            + grants.gone(self.now_s).count()
    }
}

/// One token of the model.
struct ModelToken {
    token: String,
    holder: Holder,
    expires_s: i64,
    valid_until_s: i64,
}

impl ModelToken {
    fn check(&self, now_s: i64) -> Result<Holder, ErrorCode> {
        let is_superseded = self.valid_until_s < self.expires_s;
        match now_s {
            _ if now_s < self.valid_until_s => Ok(self.holder.clone()),
            _ if is_superseded || now_s >= self.expires_s + REMEMBER_S => Err(ErrorCode::INVALID_CREDENTIAL),
            _ => Err(ErrorCode::ACCESS_TOKEN_EXPIRED),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum TokenStep {
    Issue { is_of_platform: bool },
    Stable { force: bool },
    Wait(i64),
}

fn step() -> impl Strategy<Value = TokenStep> {
    prop_oneof![
        any::<bool>().prop_map(|is_of_platform| TokenStep::Issue { is_of_platform }),
        prop::bool::weighted(0.3).prop_map(|force| TokenStep::Stable { force }),
        prop_oneof![
            Just(1),
            Just(299),
            Just(300),
            Just(301),
            Just(6899),
            Just(6901),
            Just(7200),
            Just(86_400)
        ]
        .prop_map(TokenStep::Wait),
    ]
}

/// Does one step to both, then compares every token of the model.
async fn take(run: &mut TokenRun, known: &mut Vec<ModelToken>, step: TokenStep) {
    let (holder, end_s, newest) = match step {
        TokenStep::Wait(seconds) => return run.now_s += seconds,
        TokenStep::Issue { is_of_platform } => {
            let own = Holder::account("wx1", Endpoint::Token);
            let holder = if is_of_platform { Holder::authorizer("wx1", "wxPlatform") } else { own };
            (holder, run.now_s + OVERLAP_S, None)
        }
        TokenStep::Stable { force } => {
            let holder = Holder::account("wx1", Endpoint::Stable);
            let newest = known.iter().rfind(|known| known.holder == holder && !force);
            let good = newest.filter(|newest| newest.valid_until_s - run.now_s >= RENEW_S);
            let end_s = if force { run.now_s } else { i64::MAX };
            (holder, end_s, good.map(|good| good.token.clone()))
        }
    };
    let token = match step {
        TokenStep::Stable { force } => run.issue_stable("wx1", force).await,
        _ => run.issue(&holder).await,
    };
    if let Some(newest) = newest {
        return assert_eq!(token, newest);
    }
    for former in known.iter_mut().filter(|known| known.holder == holder) {
        former.valid_until_s = former.valid_until_s.min(end_s);
    }
    let expires_s = run.now_s + LIFE_S;
    known.push(ModelToken { token, holder, expires_s, valid_until_s: expires_s });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn tokens_do_not_depend_on_how_their_facts_were_learned(
        changes in fact_changes(fact_keys(), |key, number| serde_json::to_vec(&grant(key, number)).unwrap()),
        at in 0_usize..40,
    ) {
        let load = |store: &Arc<Store>| Tokens::load(DataKey::from_bytes([1; 32]), store);
        let [fed, loaded, resumed] = in_three_ways(&changes, at, load, Tokens::apply_fact);
        prop_assert_eq!(&*fed.read(), &*loaded.read());
        prop_assert_eq!(&*resumed.read(), &*loaded.read());
    }

    #[test]
    fn every_token_ever_given_out_is_as_good_as_the_rules_say_also_after_a_restart(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut run, mut known) = (TokenRun::start(), Vec::new());
            for step in steps {
                take(&mut run, &mut known, step).await;
                known.iter().for_each(|known| assert_eq!(run.check(&known.token), known.check(run.now_s)));
            }
            run.tokens = Tokens::load(DataKey::from_bytes([1; 32]), &run.store);
            known.iter().for_each(|known| assert_eq!(run.check(&known.token), known.check(run.now_s)));
            run.writer.stop();
        });
    }
}

#[tokio::test]
async fn one_more_token_looks_at_one_former_one_however_many_there_are_and_takes_a_few_out_at_once() {
    let mut run = TokenRun::start();
    let holder = Holder::account("wx1", Endpoint::Token);
    let count = 10 * REMOVED_TOGETHER;
    for number in 0..count {
        assert_eq!(run.looked_at(&holder), number.min(1), "beside {number} that are good");
        run.issue(&holder).await;
    }
    assert_eq!(run.facts(), count);
    // All but the newest are forgotten. The next tokens remove them, of any holder, a few at a time.
    run.now_s += OVERLAP_S;
    for number in 1..=9 {
        assert_eq!(run.looked_at(&holder), REMOVED_TOGETHER + 1);
        run.issue_stable(&format!("wx{number}"), true).await;
        assert_eq!(run.facts(), count - number * (REMOVED_TOGETHER - 1));
    }
    run.issue(&holder).await;
    assert_eq!(run.facts(), 11, "what is still good");
    run.writer.stop();
}

#[tokio::test]
async fn a_clock_set_back_gives_a_stable_token_once_and_not_with_each_call() {
    let mut run = TokenRun::start();
    let before = run.issue_stable("wx1", false).await;
    run.now_s -= 86_400;
    let after = run.issue_stable("wx1", false).await;
    assert_ne!(before, after, "it would live for longer than any token does");
    assert_eq!(run.issue_stable("wx1", false).await, after);
    run.writer.stop();
}

#[tokio::test]
async fn one_holder_in_a_queue_keeps_no_other_waiting_and_a_revocation_waits_for_all() {
    let run = TokenRun::start();
    let busy = Holder::account("wx1", Endpoint::Token);
    let place = |holder: &Holder| std::ptr::from_ref(run.tokens.issuing.place(holder));
    let holders = (2..).map(|number| Holder::account(&format!("wx{number}"), Endpoint::Token));
    let mut holders = holders.into_iter();
    let other = holders.find(|other| place(other) != place(&busy)).unwrap();
    let turn = run.tokens.issuing.turn(&busy).await;
    run.issue(&other).await;
    let mut of_busy = Box::pin(run.issue(&busy));
    assert!(is_pending(of_busy.as_mut()).await, "its own turn comes later");
    {
        let revocation = run.tokens.revocation(|_| true);
        let mut revocation = std::pin::pin!(revocation);
        assert!(is_pending(revocation.as_mut()).await, "a token is on its way");
    }
    drop(turn);
    of_busy.await;
    assert_eq!(run.tokens.revocation(|_| true).await.changes().count(), 2);
    run.writer.stop();
}

/// Keys of facts of two accounts. The last does not belong to the grant that it gets.
fn fact_keys() -> Vec<String> {
    let names = ["wx1/a", "wx1/b", "wx2/a", "wx2/c", "wx3/other"];
    names.map(|name| format!("{FACT_PREFIX}{name}")).to_vec()
}

/// A token for the key of a fact, valid until another time for each number.
fn grant(fact_key: &str, number: u8) -> Grant {
    let (appid, nonce) = fact_key.strip_prefix(FACT_PREFIX).unwrap().split_once('/').unwrap();
    let holder = Holder::account(if appid == "wx3" { "wx1" } else { appid }, Endpoint::Token);
    let valid_until_s = START_S + LIFE_S - i64::from(number - 2) * 100;
    Grant { holder, nonce: nonce.to_owned(), expires_s: START_S + LIFE_S, valid_until_s }
}

#[tokio::test]
async fn another_process_learns_of_a_token_of_its_shortened_life_and_of_its_end() {
    let (run, other) = (TokenRun::start(), TokenRun::start());
    let holder = Holder::account("wx1", Endpoint::Token);
    let tell = || {
        let known = run.store.facts(FACT_PREFIX);
        known.iter().for_each(|(key, value)| other.tokens.apply_fact(key, Some(value)));
        known
    };
    let first = run.issue(&holder).await;
    assert!(other.check(&first).is_err());
    tell();
    assert_eq!(other.check(&first), Ok(holder.clone()));
    run.issue(&holder).await;
    let known = tell();
    let later = |token: &str| other.tokens.look_up(token, |_| (), START_S + OVERLAP_S);
    assert!(other.check(&first).is_ok() && later(&first).is_err(), "superseded");
    known.iter().for_each(|(key, _)| other.tokens.apply_fact(key, None));
    assert!(other.check(&first).is_err());
    known.iter().for_each(|(key, _)| other.tokens.apply_fact(key, None));
    assert_eq!(*other.tokens.read(), Grants::default(), "no trace is left");
    run.writer.stop();
    other.writer.stop();
}

#[tokio::test]
async fn a_stable_token_that_another_process_issued_is_handed_out_again() {
    let (run, other) = (TokenRun::start(), TokenRun::start());
    let token = run.issue_stable("wx1", false).await;
    for (key, value) in run.store.facts(FACT_PREFIX) {
        other.tokens.apply_fact(&key, Some(&value));
    }
    assert_eq!(other.issue_stable("wx1", false).await, token);
    assert_ne!(other.issue_stable("wx1", true).await, token);
    run.writer.stop();
    other.writer.stop();
}

#[tokio::test]
async fn the_clock_of_a_process_may_be_behind_that_of_another() {
    let mut runs = Memory::group(2).into_iter().map(TokenRun::on);
    let (run, mut behind) = (runs.next().unwrap(), runs.next().unwrap());
    behind.now_s -= 2;
    let learn = || {
        let known = run.store.facts(FACT_PREFIX);
        known.iter().for_each(|(key, value)| behind.tokens.apply_fact(key, Some(value)));
    };
    let token = run.issue_stable("wx1", false).await;
    learn();
    assert_eq!(behind.issue_stable("wx1", false).await, token);
    let forced = run.issue_stable("wx1", true).await;
    learn();
    assert_eq!(behind.check(&token), Err(ErrorCode::INVALID_CREDENTIAL), "ended at once");
    assert_eq!(behind.issue_stable("wx1", false).await, forced);
    run.writer.stop();
    behind.writer.stop();
}

/// Whether it holds nothing.
async fn is_pending<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_pending())).await
}
