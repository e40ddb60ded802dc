//! The wire, as data: each case of `cases/*.toml` is sent byte for byte to a server and its answers are compared byte
//! for byte. The same cases run on the router in process with each store, and on the real program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test from outside: what cannot go on has failed, and waiting needs a real clock"
)]

mod case;
mod exchange;
mod expected;
mod feed;
mod run;
mod sealing;
mod servers;
mod settings;
mod template;

use std::{collections::BTreeSet, path::PathBuf};

use case::Cases;
use servers::Target;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wire/cases")
}

/// Runs each case of a file on a server of its own; fails with all that went wrong.
fn check(file: &str, target: Target) {
    let path = folder().join(format!("{file}.toml"));
    let text = std::fs::read_to_string(&path).unwrap();
    let cases: Cases = toml::from_str(&text).unwrap_or_else(|error| panic!("{file}.toml: {error}"));
    let fits = |case: &&case::Case| target != Target::Memory || case.fits_a_plain_model();
    let failures: Vec<String> =
        cases.case.iter().filter(fits).flat_map(|case| run::run(case, target)).collect();
    assert!(failures.is_empty(), "{} on {target:?}:\n\n{}\n", path.display(), failures.join("\n\n"));
}

macro_rules! on_each_target {
    ($($file:ident)*) => {
        const FILES: &[&str] = &[$(stringify!($file)),*];
        on_each_target!(@ in_process_on_the_memory_store, Memory, $($file)*);
        on_each_target!(@ in_process_on_the_embedded_store, Embedded, $($file)*);
        on_each_target!(@ on_the_real_program, Program, $($file)*);
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
    operation
    component
    component_in_time
    component_page
}

#[test]
fn every_file_of_cases_is_run() {
    let on_disk = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let on_disk: BTreeSet<String> =
        on_disk.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(on_disk, FILES.iter().map(|file| (*file).to_owned()).collect());
}
