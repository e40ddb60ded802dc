//! How much the first build compiles: the number of crates, and which of them build C code. Both only grow on purpose.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// Crates that the program is built from, also for build scripts and macros. Raise it only if the new crate is worth
/// its time to compile, and say so in the commit.
const CRATES_MAX: usize = 200;
/// Crates that compile C or assembler.
const BUILD_C: [&str; 3] = ["libmimalloc-sys", "ring", "zstd-sys"];

/// Each crate with the crates that it needs.
fn tree() -> BTreeMap<String, BTreeSet<String>> {
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
        let name: Vec<&str> = name.split(' ').take(2).collect();
        above.truncate(depth.parse().expect("a number"));
        let name = name.join(" ");
        if let Some(parent) = above.last() {
            crates.entry(parent.clone()).or_insert_with(BTreeSet::new).insert(name.clone());
        }
        crates.entry(name.clone()).or_default();
        above.push(name);
    }
    crates
}

#[test]
fn the_first_build_compiles_no_more_crates_and_no_more_c_than_it_did() {
    let crates = tree();
    assert!(crates.len() > 100, "the tree was not read: {crates:?}");
    assert!(crates.len() <= CRATES_MAX, "{} crates, at most {CRATES_MAX} were intended", crates.len());
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
