//! The list of facts is complete, and what one process decides is known to another.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use storage::{
    store::{Change, Memory, Store},
    writer::Writer,
};
use system::{clock::Clock, data_key::DataKey};

use super::*;
use crate::{
    auth::{
        access_token::{Endpoint, Holder},
        api_keys::Scope,
        upstream_token_index::TokenOwner,
    },
    config::Config,
};

/// Facts that no map here takes over: they are read at the start alone or whenever they are needed, or the store itself
/// takes them over.
const WITHOUT_A_MAP: [&str; 5] = ["coverage/", "event/", "event_claim/", "planned_stop", "service/"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The value of a constant such as `const FACT_PREFIX: &str = "token/";`.
fn fact_constant(line: &str) -> Option<&str> {
    let (name, value) = line.split_once("const ")?.1.split_once(": &str = \"")?;
    ["FACT", "FACT_PREFIX"].contains(&name).then(|| value.split('"').next()).flatten()
}

#[test]
fn each_fact_has_a_map_or_needs_none() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut paths = Vec::new();
    ["server/src", "storage/src"].iter().for_each(|folder| sources(&crates.join(folder), &mut paths));
    let mut stored = BTreeMap::new();
    for path in paths {
        for line in fs::read_to_string(&path).unwrap().lines() {
            stored.extend(fact_constant(line).map(|fact| (fact.to_owned(), path.clone())));
        }
    }
    // This file shows one as an example.
    assert!(stored.len() > 10, "the constants were not found");
    let listed: Vec<&str> = MAPS.iter().map(|(prefix, _)| *prefix).chain(WITHOUT_A_MAP).collect();
    for (fact, path) in &stored {
        assert!(listed.contains(&fact.as_str()), "{fact} of {} is in no list", path.display());
    }
    for fact in &listed {
        assert!(stored.contains_key(*fact), "{fact} is in a list, and nothing stores it");
        let others = listed.iter().filter(|other| other.starts_with(fact)).count();
        assert_eq!(others, 1, "{fact} is the beginning of another");
    }
}

/// One of several processes. Each has a store of its own here; a test tells one what the other has stored.
struct Process {
    app: Arc<App>,
    writer: Writer,
    _folder: tempfile::TempDir,
}

impl Process {
    fn start() -> Process {
        let folder = tempfile::tempdir().unwrap();
        let text = "[[account]]\nappid = \"wx1\"\nsecret = \"s\"\ntoken = \"t\"\n";
        let config = Config::parse(text, &folder.path().join("msgcube.toml"), |_| None).unwrap();
        let (key, store) = (DataKey::from_bytes([1; 32]), Store::Memory(Memory::default()));
        let (app, writer) = App::start_with(config, Clock::starting_at(1_400_000_000), store, key).unwrap();
        Process { app, writer, _folder: folder }
    }

    /// Tells this process of all facts in which another one differs.
    fn learn(&self, other: &Process) {
        let facts = |process: &Process| BTreeMap::from_iter(process.app.store.facts(""));
        let (own, others) = (facts(self), facts(other));
        let set = others.iter().filter(|(key, value)| own.get(*key) != Some(value));
        let set = set.map(|(key, value)| (key.clone(), Some(value.clone())));
        let removed = own.keys().filter(|key| !others.contains_key(*key)).map(|key| (key.clone(), None));
        let changes: Vec<FactChange> = set.chain(removed).collect();
        let change = |(key, value): &FactChange| Change::Fact { key: key.clone(), value: value.clone() };
        self.app.store.commit(&changes.iter().map(change).collect::<Vec<_>>()).unwrap();
        apply(&self.app, &changes);
    }

    fn stop(self) {
        self.writer.stop();
    }
}

#[tokio::test]
async fn what_one_process_decides_another_knows() {
    let (one, other) = (Process::start(), Process::start());
    let (App { ingest, clock, .. }, now_s) = (&*one.app, one.app.clock.now_s());
    let scopes = vec![Scope::Admin];
    let (key, text) = one.app.api_keys.add("k".to_owned(), scopes, None, now_s, ingest).await.unwrap();
    let (link, link_text) =
        one.app.share_links.add("wx1".to_owned(), |_| true, 1, now_s, ingest).await.unwrap();
    let holder = Holder::account("wx1", Endpoint::Token);
    let token = one.app.tokens.issue(holder.clone(), Vec::new(), ingest, clock).await.unwrap().access_token;
    let owner = TokenOwner { component: "wxp".to_owned(), account: None };
    one.app.upstream_token_index.remember("real", owner.clone(), 7200, now_s, ingest).await.unwrap();
    let is_known = || {
        (
            other.app.api_keys.access(text.reveal(), now_s).is_some(),
            other.app.share_links.of_token(link_text.reveal(), now_s).is_some(),
            other.app.tokens.look_up(&token, Holder::clone, now_s) == Ok(holder.clone()),
            other.app.upstream_token_index.owner_of("real", now_s) == Some(owner.clone()),
        )
    };
    assert_eq!(is_known(), (false, false, false, false));
    other.learn(&one);
    assert_eq!(is_known(), (true, true, true, true));
    // Now the other one revokes what the first one made.
    let App { ingest, store, .. } = &*other.app;
    other.app.api_keys.remove(&key.id, ingest).await.unwrap();
    other.app.share_links.remove(&link.id, ingest).await.unwrap();
    let decision = store.decide().await.unwrap();
    let revocation = other.app.tokens.revocation(|holder| holder.appid == "wx1").await;
    let decided = decision.commit(ingest, revocation.changes().collect()).await.unwrap();
    revocation.complete();
    drop(decided);
    one.learn(&other);
    assert!(one.app.api_keys.access(text.reveal(), now_s).is_none());
    assert!(one.app.share_links.of_token(link_text.reveal(), now_s).is_none());
    assert!(one.app.tokens.look_up(&token, |_| (), now_s).is_err());
    one.stop();
    other.stop();
}

#[tokio::test]
async fn facts_of_a_newer_version_are_left_alone_and_the_store_does_not_keep_the_state_alive() {
    let process = Process::start();
    let newer = ("a_newer_fact/x".to_owned(), Some(b"x".to_vec()));
    apply(&process.app, &[newer, ("token".to_owned(), None), (String::new(), None)]);
    assert_eq!(Arc::strong_count(&process.app), 1);
    process.stop();
}
