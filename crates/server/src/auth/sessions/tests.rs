//! Sessions as they are opened, used, pushed out and ended, and read from facts.

use proptest::prelude::*;

use super::{
    super::tests::{fact_changes, in_three_ways},
    *,
};

fn load(store: &Arc<Store>) -> Sessions {
    let clock = system::clock::Clock::starting_at(0);
    let (ingest, writer) = Ingest::prepare(store.clone(), clock, Arc::default(), Vec::new());
    writer.stop();
    Sessions::load(DataKey::from_bytes([1; 32]), store, &ingest)
}

fn sealed(fact_key: &str, number: u8) -> Vec<u8> {
    let admin = KeyHolder::of_admin_key(&Secret::new("key"));
    let holder = if number == 2 { admin } else { key(&number.to_string()) };
    // A use that is told later is a later one.
    let session = OpenSession { holder, opened_s: 1, used_s: 9, told_s: 9 };
    let hash = stored::hash_in(fact_key).unwrap();
    let fact = stored::fact(&hash, &session, &DataKey::from_bytes([1; 32])).unwrap();
    let Change::Fact { value: Some(sealed), .. } = fact else { panic!("it is set") };
    assert!(!sealed.windows(9).any(|window| window == b"opened_s\""), "it is sealed");
    sealed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn sessions_do_not_depend_on_how_their_facts_were_learned(
        changes in fact_changes(
            (0..3).map(|number: u8| stored::fact_key(&hash(&number.to_string()))).collect(),
            sealed,
        ),
        at in 0_usize..40,
    ) {
        let ways = in_three_ways(&changes, at, load, Sessions::apply_fact);
        let [fed, loaded, resumed] = ways.map(|sessions| lock(&sessions.table.open).clone());
        prop_assert_eq!(&fed, &loaded);
        prop_assert_eq!(&resumed, &loaded);
    }
}

#[tokio::test]
async fn a_fact_tells_of_a_use_and_never_takes_back_a_later_one() {
    let (sessions, _writer) = sessions();
    let id = sessions.open(key("k"), 0).await.unwrap();
    let hash = hash(id.reveal());
    let fact = |used_s| {
        let session = OpenSession { holder: key("k"), opened_s: 0, used_s, told_s: used_s };
        let fact = stored::fact(&hash, &session, &DataKey::from_bytes([1; 32])).unwrap();
        let Change::Fact { key, value } = fact else { panic!("it is a fact") };
        (key, value)
    };
    assert!(sessions.use_now(id.reveal(), 100, everything).is_some());
    let used_after = |used_s| {
        let (key, value) = fact(used_s);
        sessions.apply_fact(&key, value.as_deref());
        lock(&sessions.table.open)[&hash].used_s
    };
    assert_eq!((used_after(50), used_after(200)), (100, 200));
    sessions.apply_fact(&fact(0).0, None);
    assert!(sessions.use_now(id.reveal(), 201, everything).is_none());
}

#[tokio::test]
async fn the_use_of_a_session_that_another_process_ended_does_not_bring_it_back() {
    let store = Arc::new(Store::Memory(storage::store::Memory::default()));
    let clock = system::clock::Clock::starting_at(0);
    let (ingest, writer) = Ingest::start(store.clone(), clock, Arc::default(), Vec::new());
    let sessions = Sessions::load(DataKey::from_bytes([1; 32]), &store, &ingest);
    let hash = hash(sessions.open(key("k"), 0).await.unwrap().reveal());
    sessions.table.tell_use(&hash).await.unwrap();
    assert_eq!(store.facts(FACT_PREFIX).len(), 1);
    sessions.table.tell_end(&hash).await.unwrap();
    assert!(lock(&sessions.table.open).is_empty());
    sessions.table.tell_use(&hash).await.unwrap();
    assert!(store.facts(FACT_PREFIX).is_empty());
    writer.stop();
}

#[allow(clippy::unnecessary_wraps, reason = "the function that says what a key allows may say: nothing")]
fn everything(_: &KeyHolder) -> Option<Access> {
    Some(Access::everything())
}

fn key(id: &str) -> KeyHolder {
    KeyHolder::Key(id.to_owned())
}

fn sessions() -> (Sessions, storage::writer::Writer) {
    let store = Arc::new(Store::Memory(storage::store::Memory::default()));
    let clock = system::clock::Clock::starting_at(0);
    let (ingest, writer) = Ingest::prepare(store.clone(), clock, Arc::default(), Vec::new());
    (Sessions::load(DataKey::from_bytes([1; 32]), &store, &ingest), writer)
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_when_it_is_old() {
    let (sessions, _writer) = sessions();
    let id = sessions.open(key("k"), 0).await.unwrap();
    let mut now_s = 0;
    while now_s + IDLE_MAX_S <= AGE_MAX_S {
        now_s += IDLE_MAX_S;
        assert!(sessions.use_now(id.reveal(), now_s, everything).is_some(), "{now_s}");
    }
    assert_eq!(now_s, AGE_MAX_S, "the last use was in its last second");
    assert!(sessions.use_now(id.reveal(), AGE_MAX_S + 1, everything).is_none());
    let id = sessions.open(key("k"), 0).await.unwrap();
    let used = sessions.use_now(id.reveal(), 10, everything).unwrap();
    assert!(sessions.look_up(&used.id_hash, 10 + IDLE_MAX_S, everything).is_some());
    assert!(sessions.use_now(id.reveal(), 11 + IDLE_MAX_S, everything).is_none(), "a stream is no use");
    assert!(sessions.use_now(id.reveal(), 12, everything).is_none(), "it does not come back");
    assert!(lock(&sessions.table.open).is_empty());
}

#[tokio::test]
async fn a_session_without_access_or_after_sign_out_does_not_come_back() {
    let (sessions, _writer) = sessions();
    for end_by_key in [true, false] {
        let id = sessions.open(key("k"), 0).await.unwrap();
        let used = sessions.use_now(id.reveal(), 1, everything).unwrap();
        if end_by_key {
            assert!(sessions.look_up(&used.id_hash, 1, |_| None).is_none());
        } else {
            sessions.end(&used.id_hash).await.unwrap();
        }
        assert!(sessions.use_now(id.reveal(), 1, everything).is_none());
    }
}

#[tokio::test]
async fn the_session_that_was_unused_for_longest_makes_room() {
    let (sessions, _writer) = sessions();
    let of_key = async |now_s: i64| sessions.open(key(&now_s.to_string()), now_s).await.unwrap();
    let mut ids = Vec::new();
    for now_s in 1..=10_000 {
        ids.push(of_key(now_s).await);
    }
    assert!(sessions.use_now(ids[0].reveal(), 10_000, everything).is_some());
    sessions.open(key("k"), 10_001).await.unwrap();
    let is_open = |at: usize| sessions.use_now(ids[at].reveal(), 10_001, everything).is_some();
    assert_eq!((is_open(0), is_open(1), is_open(2)), (true, false, true));
    assert_eq!(lock(&sessions.table.open).len(), 10_000);
}

#[test]
fn tokens_of_forms_differ_for_each_session_and_an_empty_one_is_never_right() {
    let (one, other) = (csrf_token("one"), csrf_token("other"));
    assert!(one.len() == 43 && one != other && is_csrf_token(&one, &one));
    for wrong in [other.as_str(), "", &one[1..]] {
        assert!(!is_csrf_token(&one, wrong), "{wrong}");
    }
    assert!(!is_csrf_token("", ""));
}

#[tokio::test]
async fn a_key_pushes_out_only_its_own_sessions() {
    let (sessions, _writer) = sessions();
    let other = sessions.open(key("other"), 0).await.unwrap();
    let mut ids = Vec::new();
    for now_s in 1..=100 {
        ids.push(sessions.open(key("k"), now_s).await.unwrap());
    }
    sessions.open(key("k"), 101).await.unwrap();
    let works = |id: &Secret| sessions.use_now(id.reveal(), 102, everything).is_some();
    assert!(!works(&ids[0]) && works(&ids[1]) && works(&other));
}
