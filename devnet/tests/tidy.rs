//! The limits of the house style that a compiler does not hold: file lengths, arrows between crates, leftovers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::{
    fs,
    path::{Path, PathBuf},
};

const MAX_FILE_LINES: usize = 600;
const MAX_DEPTH: usize = 6;
const SKIPPED: [&str; 8] = ["target", "node_modules", "out", "out-lint", "cache", "cache-lint", "dist", ".git"];

/// Crates from the top of the house to its cellar: a crate may depend only on crates of a later rank.
const RANKS: [&[&str]; 5] = [
    &["devnet"],
    &["node"],
    &["consensus", "network", "mempool", "execution", "store", "batcher", "rpc"],
    &["l1", "derivation"],
    &["protocol", "libp2p-scatter"],
];

/// Arrows within a rank that the design draws.
const ALLOWED_SIDEWAYS: [(&str, &str); 2] = [("l1", "derivation"), ("batcher", "network")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
            files(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

fn sources(extensions: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&root(), &mut found);
    let wanted = |path: &PathBuf| path.extension().is_some_and(|e| extensions.iter().any(|w| e == *w));
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    let sources: Vec<_> = found.into_iter().filter(wanted).map(read).collect();
    assert!(!sources.is_empty(), "no files with {extensions:?}: the test looks in the wrong place");
    sources
}

fn report(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

fn manifests() -> Vec<(String, toml::Table)> {
    sources(&["toml"])
        .into_iter()
        .filter(|(name, _)| name.ends_with("/Cargo.toml"))
        .map(|(name, text)| (name, text.parse().unwrap()))
        .collect()
}

fn dependencies(manifest: &toml::Table, section: &str) -> Vec<String> {
    manifest
        .get(section)
        .and_then(|deps| deps.as_table())
        .map(|deps| deps.keys().cloned().collect())
        .unwrap_or_default()
}

#[test]
fn files_are_short_and_not_deep() {
    let mut problems = Vec::new();
    for (name, text) in sources(&["rs", "sol", "ts", "tsx", "mjs"]) {
        let lines = text.lines().count();
        if lines > MAX_FILE_LINES {
            problems.push(format!("{name}: {lines} lines, at most {MAX_FILE_LINES}"));
        }
        let depth = Path::new(&name).components().count();
        if depth > MAX_DEPTH {
            problems.push(format!("{name}: {depth} levels deep, at most {MAX_DEPTH}"));
        }
    }
    report(&problems);
}

#[test]
fn arrows_point_down() {
    let rank = |name: &str| RANKS.iter().position(|crates| crates.contains(&name));
    let mut problems = Vec::new();
    for (file, manifest) in manifests() {
        let name = manifest["package"]["name"].as_str().unwrap().to_owned();
        let Some(from) = rank(&name) else {
            problems.push(format!("{file}: crate `{name}` has no rank"));
            continue;
        };
        for dependency in dependencies(&manifest, "dependencies") {
            let Some(to) = rank(&dependency) else { continue };
            let sideways = ALLOWED_SIDEWAYS.contains(&(name.as_str(), dependency.as_str()));
            if to < from || (to == from && !sideways) {
                problems.push(format!("{file}: `{name}` must not depend on `{dependency}`"));
            }
        }
    }
    report(&problems);
}

#[test]
fn every_direct_dependency_has_its_reason() {
    let reasons = fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let ours: Vec<&str> = RANKS.iter().flat_map(|crates| crates.iter().copied()).collect();
    let mut problems = Vec::new();
    for (file, manifest) in manifests() {
        let direct =
            ["dependencies", "dev-dependencies", "build-dependencies"].map(|s| dependencies(&manifest, s)).concat();
        for dependency in direct {
            if !ours.contains(&dependency.as_str()) && !reasons.contains(&format!("`{dependency}`")) {
                problems.push(format!("{file}: `{dependency}` has no line in docs/dependencies.md"));
            }
        }
    }
    problems.sort();
    problems.dedup();
    report(&problems);
}

#[test]
fn no_leftovers() {
    // Spelled apart so that this file does not find itself.
    let banned = [
        ("#[ign", "ore"),
        ("macro_", "rules!"),
        ("dbg", "!("),
        ("todo", "!("),
        ("unimplemented", "!("),
        ("thread::", "sleep"),
        ("FIX", "ME"),
        ("TO", "DO:"),
    ];
    let mut problems = Vec::new();
    for (name, text) in sources(&["rs", "sol", "ts", "tsx", "mjs"]) {
        for (number, line) in text.lines().enumerate() {
            for (head, tail) in banned {
                if line.contains(&format!("{head}{tail}")) {
                    problems.push(format!("{name}:{}: `{head}{tail}`", number + 1));
                }
            }
        }
    }
    report(&problems);
}

#[test]
fn every_crate_introduces_itself() {
    let mut problems = Vec::new();
    for (file, _) in manifests() {
        let folder = root().join(Path::new(&file).parent().unwrap());
        let entry =
            ["src/lib.rs", "src/main.rs"].map(|entry| folder.join(entry)).into_iter().find(|path| path.exists());
        let text = fs::read_to_string(entry.unwrap()).unwrap();
        if !text.starts_with("//!") {
            problems.push(format!("{file}: the crate does not open with its purpose"));
        }
    }
    report(&problems);
}

/// What operators watch must be there to be watched.
#[test]
fn documented_metrics_exist() {
    let code: String = sources(&["rs"]).into_iter().map(|(_, text)| text).collect();
    let mut problems = Vec::new();
    for page in ["docs/operators.md", "docs/alerts.yml"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        // JSON-RPC methods are not in snake case, or have one word after the prefix.
        let metrics = words.filter(|word| word.starts_with("horae_") && word.matches('_').count() > 1);
        let missing = metrics.filter(|name| !code.contains(&format!("\"{name}\"")));
        problems.extend(missing.map(|name| format!("{page}: `{name}` is no metric")));
    }
    report(&problems);
}
