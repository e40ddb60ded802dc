//! House rules that no lint checks, for every source file. Also compares the map in ARCHITECTURE.md with the tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const LINES_MAX: usize = 400;
/// Crates plus folders directly below `crates/server/src`. ARCHITECTURE.md explains each of them.
const UNITS_MAX: usize = 20;
const ROOTS: [&str; 2] = ["bench", "crates"];
/// Folders whose files the pages name.
const NAMED_ROOTS: [&str; 5] = ["bench", "crates", "docs", "packaging", "tests"];
/// Each word is split, so that this test does not find it in its own source.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("unimple", "mented!(")];

/// Names that more than one type still has. Remove a name from this list as soon as only one type has it.
const ALLOWED_TWICE: &[&str] = &[
    "Account",
    "Accounts",
    "Address",
    "Answer",
    "Asked",
    "Authorization",
    "Batch",
    "Call",
    "Change",
    "Cleared",
    "Connection",
    "Current",
    "Destination",
    "Enqueued",
    "Entry",
    "Envelope",
    "Failure",
    "Field",
    "Fields",
    "Figures",
    "FileState",
    "Flaw",
    "Group",
    "Held",
    "Hint",
    "Intake",
    "Kept",
    "Kind",
    "Known",
    "Limits",
    "LineError",
    "Lines",
    "List",
    "Listed",
    "Lost",
    "Mode",
    "Moment",
    "Names",
    "Outcome",
    "Page",
    "Part",
    "Piece",
    "Place",
    "Profile",
    "Question",
    "Queue",
    "Quotas",
    "Record",
    "Refusal",
    "Refused",
    "Report",
    "Request",
    "Room",
    "Rotation",
    "Row",
    "Scanner",
    "Scene",
    "Secret",
    "Seen",
    "Served",
    "Share",
    "Shared",
    "Shown",
    "Slot",
    "Sort",
    "State",
    "Step",
    "Stop",
    "Stream",
    "Taken",
    "Target",
    "Text",
    "Token",
    "Tokens",
    "Told",
    "Totals",
    "Verdict",
    "Written",
];

struct Source {
    /// Relative to the workspace, with `/`.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).expect("the crate is in crates/ of the workspace").to_owned()
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

/// Fails and lists all offences.
fn check(rule: &str, offences: impl IntoIterator<Item = String>) {
    let offences: Vec<String> = offences.into_iter().collect();
    assert!(offences.is_empty(), "{rule}:\n{}", offences.join("\n"));
}

#[test]
fn every_file_starts_with_a_description() {
    let undescribed = sources().into_iter().filter(|source| !source.text.starts_with("//! "));
    check("a file must start with //!", undescribed.map(|source| source.path));
}

#[test]
fn no_file_exceeds_the_line_limit_without_its_tests() {
    let lengths = sources().into_iter().map(|source| {
        let code = source.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        (source.path, code)
    });
    let too_long = lengths.filter(|(path, code)| !is_test(path) && *code > LINES_MAX);
    check(
        "files are too long",
        too_long.map(|(path, code)| format!("{path}: {code} lines, {LINES_MAX} are allowed")),
    );
}

#[test]
fn no_line_has_tabs_or_trailing_blanks_and_files_end_with_one_line_break() {
    let mut offences = Vec::new();
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            if line.contains('\t') || line.ends_with([' ', '\r']) {
                offences.push(format!("{}:{number}", source.path));
            }
        }
        if !source.text.ends_with('\n') || source.text.ends_with("\n\n") {
            offences.push(format!("{}: the end of the file", source.path));
        }
    }
    check("tabs, trailing blanks or line breaks at the end", offences);
}

#[test]
fn no_code_is_unfinished() {
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

/// Paths of the crates, with `/` at the end.
fn crates() -> BTreeSet<String> {
    let folder =
        |path: &str| path.strip_prefix("crates/")?.split('/').next().map(|name| format!("crates/{name}/"));
    sources().iter().filter_map(|source| folder(&source.path)).collect()
}

/// Paths of the folders directly below a crate's `src`, with `/` at the end. Without folders that hold only tests.
fn folders_of(name: &str) -> BTreeSet<String> {
    let src = format!("{name}src/");
    let folder = |path: &str| {
        let (folder, _) = path.strip_prefix(&src)?.split_once('/')?;
        Some(format!("{src}{folder}/"))
    };
    sources()
        .iter()
        .filter(|source| !is_test(&source.path))
        .filter_map(|source| folder(&source.path))
        .collect()
}

#[test]
fn the_number_of_crates_and_server_folders_is_limited() {
    let units = crates().len() + folders_of("crates/server/").len();
    assert!(
        (9..=UNITS_MAX).contains(&units),
        "{units} crates and folders of the server, {UNITS_MAX} are allowed"
    );
}

#[test]
fn the_architecture_page_names_every_folder() {
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
}

#[test]
fn the_pages_name_only_existing_paths() {
    let root = root();
    let entries = [root.clone(), root.join("docs")].map(|folder| fs::read_dir(folder).expect("the folder"));
    let paths = entries.into_iter().flatten().map(|entry| entry.expect("the folder is readable").path());
    let (mut missing, mut seen) = (Vec::new(), 0);
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let page = fs::read_to_string(&path).expect("pages are UTF-8");
        let words = page.split('`').skip(1).step_by(2).flat_map(str::split_whitespace);
        for word in words.filter(|word| is_below(&NAMED_ROOTS, word)) {
            seen += 1;
            if !root.join(word).exists() {
                missing.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(seen > 50, "the paths were not found: {seen}");
    check("pages name paths that do not exist", missing);
}

#[test]
fn no_two_structs_enums_or_traits_have_the_same_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let is_source = |source: &&Source| source.path.contains("/src/") && !is_test(&source.path);
    for source in sources().iter().filter(|source| source.path.starts_with("crates/")).filter(is_source) {
        for (number, line) in (1..).zip(without_tests(&source.text).lines()) {
            if let Some(name) = defined_type(line) {
                places.entry(name.to_owned()).or_default().push(format!("{}:{number}", source.path));
            }
        }
    }
    assert!(places.len() > 100, "the types were not found");
    let doubled = places.iter().filter(|(_, places)| places.len() > 1);
    check(
        "more than one type has this name; rename all but one",
        doubled
            .filter(|(name, _)| !ALLOWED_TWICE.contains(&name.as_str()))
            .map(|(name, places)| format!("{name}: {}", places.join(", "))),
    );
}

fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default()
}

/// The name of the struct, enum or trait that a line defines. Type aliases and associated types are not counted.
fn defined_type(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|word| *word == "unsafe" || word.starts_with("pub"));
    let is_definition = ["struct", "enum", "trait"].contains(&words.next()?);
    let name =
        words.next().filter(|_| is_definition)?.split(|c: char| !c.is_alphanumeric() && c != '_').next();
    name.filter(|name| !name.is_empty())
}

/// The path of a module below the crate root, one entry per name.
type Module = Vec<String>;

/// The modules below one parent, each with the siblings that it uses.
type Siblings = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_two_sibling_modules_use_each_other_directly_or_through_others() {
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
    assert!(by_parent["server: "]["http"].contains("accounts"), "the uses were not found");
    let cycles = by_parent.into_iter().map(|(parent, siblings)| (parent, cycle_among(siblings)));
    check(
        "modules use each other",
        cycles.flat_map(|(parent, cycle)| {
            cycle.into_iter().map(move |(name, used)| format!("{parent}: {name} uses {used:?}"))
        }),
    );
}

/// Removes modules that use no other, and modules that no other uses, until none is left to remove. The rest is in a cycle.
fn cycle_among(mut uses: Siblings) -> Siblings {
    let mut length_before = usize::MAX;
    while length_before != uses.len() {
        length_before = uses.len();
        let users: BTreeSet<String> = uses.keys().cloned().collect();
        uses.values_mut().for_each(|used| used.retain(|name| users.contains(name)));
        uses.retain(|_, used| !used.is_empty());
        let used: BTreeSet<String> = uses.values().flatten().cloned().collect();
        uses.retain(|name, _| used.contains(name));
    }
    uses
}

/// The crate and the module of a file. `None` for the root of a crate.
fn module_of(path: &str) -> Option<(&str, Module)> {
    let (name, file) = path.strip_prefix("crates/")?.split_once("/src/")?;
    let module: Module = file.strip_suffix(".rs")?.split('/').map(Into::into).collect();
    (module != ["lib"] && module != ["main"]).then_some((name, module))
}

/// Paths inside the crate that a file uses: `crate::one`, `crate::{one::two, other::{…}}`, `super::one`. A path may end
/// with the name of an item.
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

/// The paths in a use tree, below `base`.
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

/// Whether a word in backticks is a path of this workspace: a crate, folder or file.
fn is_path(word: &str) -> bool {
    is_below(&ROOTS, word)
}

/// Whether a word is a path in one of these folders of the workspace, without placeholders.
fn is_below(roots: &[&str], word: &str) -> bool {
    let inside = roots.iter().any(|name| word.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')));
    inside && !word.contains([' ', '*', '{', '\n'])
}

/// Whether a file holds only tests.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}
