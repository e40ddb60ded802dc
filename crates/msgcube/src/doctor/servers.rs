//! The servers of a shared store: ClickHouse and PostgreSQL.

use i18n::{Text, text};
use server::{
    config::StoreConfig,
    shared_servers::{self, ServerFinding, ServerLevel, SharedServer},
};

use super::finding::{Finding, Group, Section, Severity};

/// Examines both servers: a group of findings for each.
pub async fn check(store: &StoreConfig) -> Vec<Section> {
    let examined = match shared_servers::examine(store).await {
        Ok(examined) => examined,
        Err(error) => {
            let finding = Finding::skipped("store", Text::from_english(error.to_string()));
            let finding = Finding { severity: Severity::Problem, ..finding };
            let finding = finding.with_remedy(text!("run the msgcube of the packages here"));
            return vec![Section { group: Group::ClickHouse, findings: vec![finding] }];
        }
    };
    let of = |server: SharedServer| examined.iter().filter(move |found| found.server == server);
    let mut messages: Vec<Finding> =
        of(SharedServer::ClickHouse).map(|found| finding("clickhouse", found)).collect();
    if store.cluster.is_none() {
        messages.push(Finding::warning(
            "replication",
            text!("no cluster is set: messages are on one server, and are lost with its disk"),
            text!("set store.cluster, name another database in ClickHouse and in PostgreSQL, and run: msgcube store init"),
        ));
    }
    let decisions = of(SharedServer::PostgreSql).map(|found| finding("postgresql", found)).collect();
    vec![
        Section { group: Group::ClickHouse, findings: messages },
        Section { group: Group::PostgreSql, findings: decisions },
    ]
}

fn finding(id: &'static str, examined: &ServerFinding) -> Finding {
    let (place, what) = (&examined.place, Text::from_english(&examined.text));
    // Errors name the server themselves, and some findings are about all servers.
    let found =
        if examined.text.contains(place.as_str()) { what } else { text!("{place}: {what}", place, what) };
    let remedy =
        || text!("docs/scaling.md says how both servers are set up; msgcube store check examines them again");
    match examined.level {
        ServerLevel::Good => Finding::ok(id, found),
        ServerLevel::Warning => Finding::warning(id, found, remedy()),
        ServerLevel::Bad => Finding::problem(id, found, remedy()),
    }
}
