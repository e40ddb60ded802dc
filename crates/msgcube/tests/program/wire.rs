//! The wire cases: the requests in `cases/*.toml` are sent to a server, and its answers are compared byte for byte. Each
//! case runs on the router in this process with each store, and on the real program. With the shared store it runs on one
//! process, and on three that are asked in turn.

mod feed;
mod run;
mod sealing;
mod servers;
mod settings;
#[cfg(feature = "clickhouse")]
mod shared;

use std::{collections::BTreeSet, path::PathBuf};

use msgcube::conformance::case::{Case, Cases};

use servers::Target;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/program/wire/cases")
}

/// Runs each case of a file on its own server. Fails and lists all failures.
fn check(file: &str, target: Target) {
    let fits = |case: &&Case| match target {
        Target::Memory => fits_the_memory_store(case),
        Target::Embedded | Target::Program => true,
        #[cfg(feature = "clickhouse")]
        Target::Shared(_) => !case.name.starts_with(FORGOTTEN_AT_A_RESTART),
    };
    let failures: Vec<String> =
        cases(file).iter().filter(fits).flat_map(|case| run::run(case, target)).collect();
    assert!(failures.is_empty(), "{file}.toml on {target:?}:\n\n{}\n", failures.join("\n\n"));
}

/// A case whose calls a shared store still knows after a restart.
#[cfg(feature = "clickhouse")]
const FORGOTTEN_AT_A_RESTART: &str = "only its account finds a call by its rid";

/// Whether the memory store can run the case. It loses its data at a restart, and it is slow.
fn fits_the_memory_store(case: &Case) -> bool {
    !case.is_large && case.step.iter().all(|step| step.restart.is_none())
}

fn cases(file: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(folder().join(format!("{file}.toml"))).unwrap();
    let cases: Cases = toml::from_str(&text).unwrap_or_else(|error| panic!("{file}.toml: {error}"));
    cases.case
}

macro_rules! on_each_target {
    ($($file:ident)*) => {
        const FILES: &[&str] = &[$(stringify!($file)),*];
        on_each_target!(@ in_process_on_the_memory_store, Memory, $($file)*);
        on_each_target!(@ in_process_on_the_embedded_store, Embedded, $($file)*);
        on_each_target!(@ on_the_real_program, Program, $($file)*);
        on_each_target!(@ needs_servers on_a_shared_store, single, $($file)*);
        on_each_target!(@ needs_servers in_turn_on_three_processes_and_a_cluster, cluster, $($file)*);
    };
    (@ needs_servers $place:ident, $servers:ident, $($file:ident)*) => {
        #[cfg(feature = "clickhouse")]
        mod $place {
            $(#[test]
            #[ignore = "needs servers: tests/cluster/run.sh"]
            fn $file() {
                let servers = super::shared::SharedServers::$servers();
                super::check(stringify!($file), super::Target::Shared(servers));
            })*
        }
    };
    (@ $place:ident, $target:ident, $($file:ident)*) => {
        mod $place {
            $(#[test]
            fn $file() {
                super::check(stringify!($file), super::Target::$target);
            })*
        }
    };
}

on_each_target! {
    rows
    ranges
    errors
    bodies
    options
    tokens
    tokens_in_time
    addresses
    quotas
    rids
    callbacks
    cloud
    refusals
    bulk
    statistics
    statistics_across
    statistics_split
    operation
    pages
    component
    component_in_time
    component_page
    anywhere_tokens
    anywhere_errors
    anywhere_bodies
    anywhere_dates
    anywhere_rows
}

/// Times in Beijing: shortly after New Year, a leap day that is a Monday shortly before midnight, and a Sunday.
const OTHER_CLOCKS: [&str; 3] = ["2015-01-01T00:00:30", "2016-02-29T23:50:00", "2026-11-22T15:00:00"];

#[test]
fn cases_for_any_server_pass_on_any_day() {
    let cases = [cases("anywhere_dates"), cases("anywhere_rows")].concat();
    let failures: Vec<String> = OTHER_CLOCKS
        .iter()
        .flat_map(|now| cases.iter().flat_map(|case| run::run_at(case, now, Target::Memory)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_file_of_cases_is_run() {
    let on_disk = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let on_disk: BTreeSet<String> =
        on_disk.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(on_disk, FILES.iter().map(|file| (*file).to_owned()).collect());
}
