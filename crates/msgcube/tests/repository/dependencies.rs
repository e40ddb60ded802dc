//! Limits what the first build compiles: the number of crates, and the crates that compile C code.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// Foreign crates of the program, including those for build scripts and macros. Raise it only if the new crate is worth
/// the time it takes to compile, and give the reason in the commit.
const CRATES_MAX: usize = 207;
/// Marks a crate of this repository in the output of cargo: its path follows.
const OURS: &str = " (/";
/// Crates that compile C or assembler.
const BUILD_C: [&str; 3] = ["libmimalloc-sys", "ring", "zstd-sys"];

/// Each crate, with the crates that it depends on.
fn dependency_tree() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--package", "msgcube", "--edges", "normal,build"])
        .args([
            "--target",
            "x86_64-unknown-linux-gnu",
            "--no-dedupe",
            "--prefix",
            "depth",
            "--format",
            " {p}",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names are UTF-8");
    let (mut crates, mut above) = (BTreeMap::new(), Vec::<String>::new());
    for line in text.lines() {
        let (depth, name) = line.split_once(' ').expect("a depth and a crate");
        above.truncate(depth.parse().expect("a number"));
        let name = if name.contains(OURS) {
            name.to_owned()
        } else {
            name.split(' ').take(2).collect::<Vec<_>>().join(" ")
        };
        if let Some(parent) = above.last() {
            crates.entry(parent.clone()).or_insert_with(BTreeSet::new).insert(name.clone());
        }
        crates.entry(name.clone()).or_default();
        above.push(name);
    }
    crates
}

#[test]
fn the_first_build_stays_within_its_limits_of_crates_and_c_code() {
    let crates = dependency_tree();
    assert!(crates.len() > 100, "the tree was not read: {crates:?}");
    let foreign = crates.keys().filter(|name| !name.contains(OURS)).count();
    assert!(foreign <= CRATES_MAX, "{foreign} foreign crates, at most {CRATES_MAX} are allowed");
    let builds_c = |needs: &BTreeSet<String>| {
        needs.iter().any(|name| name.starts_with("cc ") || name.starts_with("cmake "))
    };
    let found: BTreeSet<&str> = crates
        .iter()
        .filter(|(_, needs)| builds_c(needs))
        .filter_map(|(name, _)| name.split(' ').next())
        .filter(|name| *name != "cmake")
        .collect();
    assert_eq!(found, BTreeSet::from(BUILD_C), "crates that compile C");
}
