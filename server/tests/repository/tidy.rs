//! House rules that no lint knows, checked on every source file, and ARCHITECTURE.md's map held to the tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const LINES_MAX: usize = 400;
const CRATES: [&str; 4] = ["bench", "client", "cube", "server"];
/// Commands that serve.
const SERVING: [&str; 2] = ["demo", "server"];
/// In two parts, so that this file does not find itself.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("unimple", "mented!(")];

struct Source {
    /// From the workspace's root, with `/`.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("the folder is readable").path()) {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let (root, mut paths) = (root(), Vec::new());
    for name in CRATES {
        walk(&root.join(name), &mut paths);
    }
    paths.sort();
    assert!(paths.len() > 10, "the sources were not found");
    let path_of = |path: &Path| {
        let path = path.strip_prefix(&root).expect("found below the root");
        path.to_string_lossy().replace('\\', "/")
    };
    let read = |path: &PathBuf| fs::read_to_string(path).expect("sources are UTF-8");
    paths.iter().map(|path| Source { path: path_of(path), text: read(path) }).collect()
}

/// Fails with all offences at once.
fn check(rule: &str, offences: impl IntoIterator<Item = String>) {
    let offences: Vec<String> = offences.into_iter().collect();
    assert!(offences.is_empty(), "{rule}:\n{}", offences.join("\n"));
}

#[test]
fn every_file_says_first_what_it_is() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//! "));
    check("a file opens with //!", silent.map(|source| source.path));
}

#[test]
fn no_file_is_longer_than_the_limit_without_its_tests() {
    let lengths = sources().into_iter().map(|source| {
        let code = source.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        (source.path, code)
    });
    let own = lengths.filter(|(path, code)| !is_test(path) && *code > LINES_MAX);
    check(
        "files stay short",
        own.map(|(path, code)| format!("{path}: {code} lines, {LINES_MAX} are allowed")),
    );
}

#[test]
fn no_tabs_no_trailing_blanks_and_one_line_break_at_the_end() {
    let mut offences = Vec::new();
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            if line.contains('\t') || line.ends_with([' ', '\r']) {
                offences.push(format!("{}:{number}", source.path));
            }
        }
        if !source.text.ends_with('\n') || source.text.ends_with("\n\n") {
            offences.push(format!("{}: its end", source.path));
        }
    }
    check("blanks", offences);
}

#[test]
fn nothing_is_left_unfinished() {
    let mut offences = Vec::new();
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            if UNFINISHED.iter().any(|word| line.contains(word)) {
                offences.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    check("unfinished", offences);
}

#[test]
fn the_architecture_names_every_source_file_and_nothing_that_is_not_there() {
    let page =
        fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md stands in the root");
    let named: BTreeSet<String> =
        page.split('`').skip(1).step_by(2).filter(|word| is_path(word)).map(Into::into).collect();
    let files: BTreeSet<String> = sources()
        .into_iter()
        .map(|source| source.path)
        .filter(|path| path.contains("/src/") && !is_test(path))
        .collect();
    check("ARCHITECTURE.md does not name", files.difference(&named).cloned());
    let missing = named.iter().filter(|path| !root().join(path).exists());
    check("ARCHITECTURE.md names what is not there", missing.cloned());
}

#[test]
fn no_two_modules_of_the_server_use_each_other_not_even_by_way_of_others() {
    let mut uses = uses();
    // What uses none of those that are left is in no ring, nor is what none of them uses.
    let mut left = 0;
    while left != uses.len() {
        left = uses.len();
        let users: BTreeSet<String> = uses.keys().cloned().collect();
        uses.values_mut().for_each(|used| used.retain(|name| users.contains(name)));
        uses.retain(|_, used| !used.is_empty());
        let used: BTreeSet<String> = uses.values().flatten().cloned().collect();
        uses.retain(|name, _| used.contains(name));
    }
    check("modules use each other", uses.iter().map(|(name, used)| format!("{name} uses {used:?}")));
}

#[test]
fn only_commands_that_serve_use_http() {
    let users = uses().into_iter().filter(|(_, used)| used.contains("http")).map(|(name, _)| name);
    check("what http is built on uses it", users.filter(|name| !SERVING.contains(&name.as_str())));
}

/// Which modules of the server each of them uses.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources().into_iter().filter(|source| !is_test(&source.path)) {
        let Some(path) = source.path.strip_prefix("server/src/") else { continue };
        let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        let name = module(path);
        let others = used(code).into_iter().filter(|used| *used != name);
        uses.entry(name.clone()).or_default().extend(others);
    }
    assert!(uses["http"].contains("store"), "no uses were found");
    uses
}

/// The module below the crate's root that a path in it begins with. Handlers share what the app keeps, some of which is
/// theirs, so that both are one.
fn module(path: &str) -> String {
    let name: String = path.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    if name == "app" { "http".to_owned() } else { name }
}

/// Modules that a file names: `crate::one`, `crate::{one::…, other::{…}}`.
fn used(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            found.push(module(rest));
            continue;
        };
        let mut depth = 0;
        for piece in list.split_inclusive([',', '{', '}']) {
            if depth == 0 {
                found.push(module(piece.trim()));
            }
            match piece.chars().next_back() {
                Some('{') => depth += 1,
                Some('}') if depth == 0 => break,
                Some('}') => depth -= 1,
                _ => {}
            }
        }
    }
    found
}

/// A path of this workspace between backticks: a file of one of the crates.
fn is_path(word: &str) -> bool {
    let inside = CRATES.iter().any(|name| word.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')));
    inside && !word.contains([' ', '*', '{', '\n'])
}

/// Tests in a file or folder of their own.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}
