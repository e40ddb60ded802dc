//! House rules that no lint knows, checked on every source file, and ARCHITECTURE.md's map held to the tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const LINES_MAX: usize = 400;
/// Crates, and folders directly below `crates/server/src`: what ARCHITECTURE.md explains one by one.
const UNITS_MAX: usize = 20;
const ROOTS: [&str; 2] = ["bench", "crates"];
/// In two parts, so that this file does not find itself.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("unimple", "mented!(")];

struct Source {
    /// From the workspace's root, with `/`.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).expect("the crate lies in crates/ of the workspace").to_owned()
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
    for name in ROOTS {
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

/// Crates below `crates/`, with `/` at the end.
fn crates() -> BTreeSet<String> {
    let folder =
        |path: &str| path.strip_prefix("crates/")?.split('/').next().map(|name| format!("crates/{name}/"));
    sources().iter().filter_map(|source| folder(&source.path)).collect()
}

/// Folders directly below a crate's `src`, with `/` at the end.
fn folders_of(name: &str) -> BTreeSet<String> {
    let src = format!("{name}src/");
    let folder = |path: &str| {
        let (folder, _) = path.strip_prefix(&src)?.split_once('/')?;
        Some(format!("{src}{folder}/"))
    };
    sources().iter().filter_map(|source| folder(&source.path)).collect()
}

#[test]
fn the_parts_of_the_program_can_be_counted() {
    let units = crates().len() + folders_of("crates/server/").len();
    assert!(
        (9..=UNITS_MAX).contains(&units),
        "{units} crates and folders of the server, {UNITS_MAX} are allowed"
    );
}

#[test]
fn the_architecture_names_every_folder_and_nothing_that_is_not_there() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is in the root");
    assert!(
        page.lines().count() <= 200,
        "ARCHITECTURE.md has {} lines, 200 are allowed",
        page.lines().count()
    );
    let named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).filter(|word| is_path(word)).collect();
    let crates = crates();
    let folders = crates.iter().flat_map(|name| folders_of(name)).chain(crates.iter().cloned());
    check("ARCHITECTURE.md does not name", folders.filter(|folder| !named.contains(folder.as_str())));
    let missing = named.iter().filter(|path| !root().join(path).exists());
    check("ARCHITECTURE.md names what is not there", missing.map(ToString::to_string));
}

/// A module, as its names below the crate's root.
type Module = Vec<String>;

/// Siblings below one parent, with those of them that each uses.
type Siblings = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_two_siblings_use_each_other_not_even_by_way_of_others() {
    let mut by_parent: BTreeMap<String, Siblings> = BTreeMap::new();
    for source in sources().iter().filter(|source| !is_test(&source.path)) {
        let Some((name, module)) = module_of(&source.path) else { continue };
        let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        for used in used_by(code, &module) {
            let same = module.iter().zip(&used).take_while(|(mine, other)| mine == other).count();
            let (Some(mine), Some(other)) = (module.get(same), used.get(same)) else { continue };
            let parent = format!("{name}: {}", module[..same].join("::"));
            by_parent.entry(parent).or_default().entry(mine.clone()).or_default().insert(other.clone());
        }
    }
    assert!(by_parent["server: "]["http"].contains("accounts"), "no uses were found");
    let rings = by_parent.into_iter().map(|(parent, siblings)| (parent, in_a_ring(siblings)));
    check(
        "modules use each other",
        rings.flat_map(|(parent, ring)| {
            ring.into_iter().map(move |(name, used)| format!("{parent}: {name} uses {used:?}"))
        }),
    );
}

/// Whatever is left when those go that use none of the rest, and those that none of the rest uses.
fn in_a_ring(mut uses: Siblings) -> Siblings {
    let mut left = usize::MAX;
    while left != uses.len() {
        left = uses.len();
        let users: BTreeSet<String> = uses.keys().cloned().collect();
        uses.values_mut().for_each(|used| used.retain(|name| users.contains(name)));
        uses.retain(|_, used| !used.is_empty());
        let used: BTreeSet<String> = uses.values().flatten().cloned().collect();
        uses.retain(|name, _| used.contains(name));
    }
    uses
}

/// The crate and the module that a file holds.
fn module_of(path: &str) -> Option<(&str, Module)> {
    let (name, file) = path.strip_prefix("crates/")?.split_once("/src/")?;
    let module: Module = file.strip_suffix(".rs")?.split('/').map(Into::into).collect();
    (module != ["lib"] && module != ["main"]).then_some((name, module))
}

/// Paths that a file names inside its crate: `crate::one`, `crate::{one::two, other::{…}}`, `super::one`. The last names
/// may be those of items.
fn used_by(code: &str, module: &[String]) -> Vec<Module> {
    let code: String =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        found.extend(paths(&code[at + "crate::".len()..], &[]));
    }
    let parent = |levels: usize| &module[..module.len().saturating_sub(levels)];
    for (at, _) in code.match_indices("super::") {
        let (mut levels, mut before, rest) = (1, &code[..at], &code[at + "super::".len()..]);
        while let Some(shorter) = before.strip_suffix("super::") {
            (levels, before) = (levels + 1, shorter);
        }
        if !rest.starts_with("super::") {
            found.extend(paths(rest, parent(levels)));
        }
    }
    found
}

/// The paths that a use tree stands for, below `base`.
fn paths(tree: &str, base: &[String]) -> Vec<Module> {
    let mut found = Vec::new();
    let (mut bases, mut path) = (Vec::new(), base.to_vec());
    let mut rest = tree;
    loop {
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        rest = &rest[name.len()..];
        if !name.is_empty() {
            path.push(name);
        }
        if let Some(below) = rest.strip_prefix("::") {
            rest = below;
        } else if let Some(list) = rest.strip_prefix('{') {
            bases.push(path.clone());
            rest = list.trim_start();
        } else {
            found.push(std::mem::take(&mut path));
            let Some(upper) = bases.last() else { return found };
            path.clone_from(upper);
            let Some(next) = rest.find([',', '}']) else { return found };
            let is_end = rest.as_bytes()[next] == b'}';
            rest = rest[next + 1..].trim_start();
            if is_end {
                bases.pop();
                if bases.is_empty() {
                    return found;
                }
            }
        }
    }
}

/// A path of this workspace between backticks: one of the crates, of their folders or of their files.
fn is_path(word: &str) -> bool {
    let inside = ROOTS.iter().any(|name| word.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')));
    inside && !word.contains([' ', '*', '{', '\n'])
}

/// Tests in a file or folder of their own.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}
