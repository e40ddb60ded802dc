//! Which servers are accepted, and what an operator is told about others.

use cluster::{
    FindingLevel,
    messages::{ClickHouse, ClickHouseError, ClickHouseOptions},
};
use system::secret::Secret;

use crate::servers::{Servers, variable};

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1";

fn refused(servers: &Servers, options: &ClickHouseOptions) -> ClickHouseError {
    servers.runtime.block_on(ClickHouse::connect(options)).unwrap_err()
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn missing_tables_are_told_with_the_command_that_makes_them() {
    for servers in [Servers::single(), Servers::cluster()] {
        let error = refused(&servers, &servers.options).to_string();
        assert!(error.contains("msgcube store init"), "{error}");
        let findings = servers.runtime.block_on(ClickHouse::check(&servers.options));
        assert!(findings.iter().all(|found| found.level == FindingLevel::Bad), "{findings:?}");
        servers.connect();
        // A second time changes nothing.
        servers.connect();
        let findings = servers.runtime.block_on(ClickHouse::check(&servers.options));
        assert!(findings.iter().all(|found| found.level < FindingLevel::Bad), "{findings:?}");
        assert!(
            findings.iter().filter(|found| found.level == FindingLevel::Good).count()
                == servers.options.urls.len()
        );
    }
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn a_wrong_password_is_told_without_it() {
    let servers = Servers::single();
    let options = ClickHouseOptions { password: Secret::new("guess-4711"), ..servers.options.clone() };
    let error = refused(&servers, &options).to_string();
    assert!(error.contains("msgcube") && !error.contains("4711"), "{error}");
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn tables_of_another_kind_are_refused() {
    let servers = Servers::single();
    servers.connect();
    servers.run("DROP TABLE aside SYNC");
    assert!(refused(&servers, &servers.options).to_string().contains("aside is missing"));
    servers.run("CREATE TABLE aside (appid String) ENGINE = Log COMMENT 'msgcube schema 1, shards 1'");
    assert!(refused(&servers, &servers.options).to_string().contains("another table"));
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn a_server_that_is_down_is_not_needed_if_its_shard_has_another() {
    let servers = Servers::cluster();
    servers.connect();
    let urls = &servers.options.urls;
    let with = |urls: &[&str]| {
        let urls = urls.iter().map(ToString::to_string).collect();
        ClickHouseOptions { urls, ..servers.options.clone() }
    };
    // The servers are named by shard: two replicas of the first one, two of the second one.
    let options = with(&[NOWHERE, &urls[1], &urls[2]]);
    let store = servers.runtime.block_on(ClickHouse::connect(&options)).unwrap();
    assert_eq!(store.shards(), 2);
    let names = store.shard_names();
    assert!(names[0] != names[1] && names[0].contains(&servers.options.database), "{names:?}");
    let error = refused(&servers, &with(&[&urls[0], &urls[1]]));
    assert!(matches!(&error, ClickHouseError::Layout(what) if what.contains("shard 2")), "{error}");
    let error = refused(&servers, &with(&[&urls[0], NOWHERE]));
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    let error = servers.runtime.block_on(ClickHouse::init(&with(&[&urls[0], &urls[2]]))).unwrap_err();
    assert!(error.to_string().contains("has 2 replicas"), "{error}");
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn another_cluster_is_refused_by_name() {
    let servers = Servers::cluster();
    servers.connect();
    let options = ClickHouseOptions { cluster: Some("elsewhere".to_owned()), ..servers.options.clone() };
    assert!(refused(&servers, &options).to_string().contains("no cluster elsewhere"));
    let options = ClickHouseOptions {
        cluster: None,
        urls: servers.options.urls[..1].to_vec(),
        ..servers.options.clone()
    };
    let error = refused(&servers, &options);
    assert!(matches!(error, ClickHouseError::Schema { .. }), "{error}");
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn a_server_of_2018_is_refused_with_what_to_install() {
    let servers = Servers::single();
    let url = variable("MSGCUBE_TEST_CLICKHOUSE_OLD");
    let options = ClickHouseOptions { urls: vec![url], ..servers.options.clone() };
    for error in
        [refused(&servers, &options), servers.runtime.block_on(ClickHouse::init(&options)).unwrap_err()]
    {
        assert!(
            matches!(&error, ClickHouseError::TooOld { version, .. } if version.starts_with("18.16")),
            "{error}"
        );
    }
}
