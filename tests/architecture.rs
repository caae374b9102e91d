//! The arrows of ARCHITECTURE.md: who may import whom, and that every path it names exists.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import of ours. `main`, `app` and `cli` may import everything.
const ROOMS: [(&str, &[&str]); 11] = [
    ("domain", &[]),
    ("ports", &["domain"]),
    ("profile", &["domain"]),
    ("telemetry", &[]),
    ("config", &["domain", "profile"]),
    ("flows", &["ports", "domain", "profile", "telemetry"]),
    ("web", &["flows", "ports", "domain", "profile", "telemetry"]),
    ("gateway", &["web", "flows", "ports", "domain", "profile", "telemetry"]),
    ("portal", &["ports", "domain", "profile", "telemetry"]),
    ("adapters", &["ports", "domain", "telemetry"]),
    ("demo", &[]),
];

/// Crates that pure rules and use-cases must not know.
const PROTOCOLS: [&str; 7] = ["pingora", "axum", "http", "hyper", "redis", "sqlx", "lettre"];

/// The files of the gateway that may know Pingora's types.
const ENGINE_FILES: [&str; 15] = [
    "api_request.rs",
    "admission.rs",
    "own_answers.rs",
    "insertion.rs",
    "limit.rs",
    "machine.rs",
    "pipeline.rs",
    "forward.rs",
    "listeners/",
    "tls/",
    "respond.rs",
    "answer.rs",
    "entry.rs",
    "upstreams.rs",
    "framing/",
];

#[test]
fn rooms_import_only_what_the_architecture_allows() {
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.into_iter().collect();
    let mut wrong = Vec::new();
    for (room, file, line) in source_lines() {
        let Some(allowed) = allowed.get(room.as_str()) else { continue };
        if only_for_tests(&file) {
            continue;
        }
        for other in line.match_indices("crate::").map(|(at, _)| room_at(&line[at + 7..])) {
            let known = ROOMS.iter().any(|(name, _)| *name == other)
                || ["app", "cli", "main"].contains(&other);
            if known && other != room && !allowed.contains(&other) {
                wrong.push(format!("{}: {room} → {other}: {}", file.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows against the architecture:\n{}", wrong.join("\n"));
}

#[test]
fn rules_and_use_cases_know_no_protocol() {
    let mut wrong = Vec::new();
    for (room, file, line) in source_lines() {
        let line = line.trim();
        if ["domain", "flows"].contains(&room.as_str()) {
            let used = PROTOCOLS.iter().any(|name| {
                line.starts_with(&format!("use {name}::")) || line.contains(&format!(" {name}::"))
            });
            if used {
                wrong.push(format!("{}: {line}", file.display()));
            }
        }
        let engine = ENGINE_FILES.iter().any(|name| file.to_string_lossy().contains(name));
        if line.contains("pingora::") && !line.starts_with("//") && !(room == "gateway" && engine) {
            wrong.push(format!("{}: {line}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "protocols in the wrong room:\n{}", wrong.join("\n"));
}

/// Sizes to feel at home in.
#[test]
fn no_file_is_longer_than_600_lines() {
    let mut lines: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for (_, file, _) in source_lines() {
        *lines.entry(file).or_default() += 1;
    }
    let long: Vec<_> = lines.iter().filter(|(_, count)| **count > 600).collect();
    assert!(long.is_empty(), "split along what they own: {long:?}");
}

/// ARCHITECTURE.md names no folder that no longer exists.
#[test]
fn every_path_in_the_architecture_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let mut missing = Vec::new();
    for name in text.split('`').skip(1).step_by(2) {
        let is_path = name.contains('/') && !name.contains([' ', ':', '*', '{', '<', '=']);
        if is_path && !name.starts_with('/') && !root.join(name).exists() {
            missing.push(name.to_owned());
        }
    }
    assert!(missing.is_empty(), "named in ARCHITECTURE.md, but not there: {missing:?}");
}

/// Unit tests run their room over what really stands behind it (the SQLite store, the example
/// portal); such files, or their folders, are named so.
fn only_for_tests(file: &Path) -> bool {
    if file.components().any(|part| part.as_os_str() == "tests") {
        return true;
    }
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    name == "testing" || name == "tests" || name.ends_with("_tests")
}

fn room_at(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// Every line of the sources with its room and file.
fn source_lines() -> Vec<(String, PathBuf, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut lines = Vec::new();
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let inner = path.strip_prefix(&source).unwrap().to_owned();
                let first = inner.components().next().unwrap().as_os_str().to_string_lossy();
                let room = first.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                lines.extend(
                    text.lines().map(|line| (room.clone(), inner.clone(), line.to_owned())),
                );
            }
        }
    }
    lines
}
