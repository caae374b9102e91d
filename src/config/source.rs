//! The configuration as it was given: the file with its lines, and the environment.
//!
//! serde's `deny_unknown_fields` ends at the first mistake. An operator wants to see all of them,
//! each with its line, so the sections are read key by key from the parsed document, and what no
//! section asked for is unknown.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::problems::{Place, Problem, Warning};
use super::section::Section;

/// Every variable that overrides a key begins with this.
const PREFIX: &str = "PASSGATE_";

pub(super) struct Source<'t> {
    file: PathBuf,
    directory: PathBuf,
    document: &'t DeTable<'t>,
    line_starts: Vec<usize>,
    environment: BTreeMap<String, String>,
    asked: RefCell<Asked>,
    findings: RefCell<Findings>,
}

/// What the sections asked for: the rest is unknown.
#[derive(Default)]
struct Asked {
    /// Keys by section pattern (`rollout.tenants.*`), with whether a variable overrides them.
    keys: BTreeMap<String, BTreeMap<&'static str, bool>>,
    tables: Vec<Table>,
    variables: BTreeSet<String>,
}

/// A table that was written, with its keys and their lines.
struct Table {
    pattern: String,
    name: String,
    keys: Vec<(String, usize)>,
}

#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl<'t> Source<'t> {
    pub fn new(
        text: &str,
        file: &Path,
        document: &'t DeTable<'t>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Self {
        Self {
            file: file.to_owned(),
            directory: file.parent().map(Path::to_owned).unwrap_or_default(),
            document,
            line_starts: line_starts(text),
            environment: environment.filter(|(name, _)| name.starts_with(PREFIX)).collect(),
            asked: RefCell::default(),
            findings: RefCell::default(),
        }
    }

    /// The keys that stand before the first section.
    pub fn root(&self) -> Section<'_> {
        Section::root(self, self.document)
    }

    /// Everything found, in the order of the file; variables come last.
    pub fn finish(self) -> (Vec<Problem>, Vec<Warning>) {
        self.report_unknown_keys();
        self.report_unknown_variables();
        let mut findings = self.findings.into_inner();
        findings.problems.sort();
        findings.problems.dedup();
        findings.warnings.sort();
        (findings.problems, findings.warnings)
    }

    /// What was found so far, for a text that cannot be read on.
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.findings.into_inner().problems;
        problems.sort();
        problems
    }

    /// Notes that a key exists, and gives the value of its variable.
    pub fn ask(&self, pattern: &str, key: &'static str, overridable: bool) -> Option<&str> {
        let mut asked = self.asked.borrow_mut();
        asked.keys.entry(pattern.to_owned()).or_default().insert(key, overridable);
        if !overridable {
            return None;
        }
        let (name, value) = self.environment.get_key_value(&variable(pattern, key))?;
        asked.variables.insert(name.clone());
        Some(value)
    }

    /// The variable that overrides a key, if it is set.
    pub fn variable_of(&self, pattern: &str, key: &str) -> Option<&str> {
        let (name, _) = self.environment.get_key_value(&variable(pattern, key))?;
        Some(name)
    }

    /// Notes a table whose keys are to be known ones.
    pub fn enter(&self, pattern: &str, name: &str, table: &DeTable<'_>) {
        let keys = table
            .iter()
            .map(|(key, _)| (key.get_ref().clone().into_owned(), self.line(key.span().start)));
        let table =
            Table { pattern: pattern.to_owned(), name: name.to_owned(), keys: keys.collect() };
        self.asked.borrow_mut().tables.push(table);
    }

    pub fn problem(&self, place: Place, message: String, hint: Option<String>) {
        self.findings.borrow_mut().problems.push(Problem { place, message, hint });
    }

    pub fn warn(&self, place: Place, message: String, hint: Option<String>) {
        self.findings.borrow_mut().warnings.push(Problem { place, message, hint });
    }

    pub fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset).max(1)
    }

    pub fn place(&self, line: Option<usize>) -> Place {
        Place::File { file: self.file.clone(), line }
    }

    /// A path as the file's author meant it: relative to the file.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    /// Every variable that overrides a key.
    pub fn variables(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let mut names = Vec::new();
        for (pattern, keys) in &asked.keys {
            names.extend(
                keys.iter().filter(|(_, yes)| **yes).map(|(key, _)| variable(pattern, key)),
            );
        }
        names
    }

    fn report_unknown_keys(&self) {
        let asked = self.asked.borrow();
        for Table { pattern, name, keys } in &asked.tables {
            let known: Vec<&str> =
                asked.keys.get(pattern).into_iter().flat_map(BTreeMap::keys).copied().collect();
            for (unknown, line) in keys.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
                let message = match name.as_str() {
                    "" => format!("unknown key or section `{unknown}`"),
                    name => format!("unknown key `{unknown}` in [{name}]"),
                };
                let hint = asked.suggest(unknown, pattern, &known);
                self.problem(self.place(Some(*line)), message, Some(hint));
            }
        }
    }

    fn report_unknown_variables(&self) {
        let known = self.variables();
        for name in self.environment.keys() {
            if self.asked.borrow().variables.contains(name) {
                continue;
            }
            let place = Place::Variable(name.clone());
            if name[PREFIX.len()..].contains("__") {
                let hint = closest(name, known.iter().map(String::as_str))
                    .map(|known| format!("did you mean {known}?"));
                self.problem(place, "names no key of the configuration".to_owned(), hint);
            } else if let Some(meant) = known.iter().find(|known| known.replace("__", "_") == *name)
            {
                // Anything else without a double underscore may be somebody else's: container
                // platforms put PASSGATE_PORT and the like into the environment by themselves.
                let hint = Some(format!("did you mean {meant} (two underscores)?"));
                self.warn(place, "is not read".to_owned(), hint);
            }
        }
    }
}

impl Asked {
    fn suggest(&self, unknown: &str, pattern: &str, known: &[&str]) -> String {
        if let Some(name) = closest(unknown, known.iter().copied()) {
            return format!("did you mean `{name}`?");
        }
        let elsewhere = self
            .keys
            .iter()
            .find(|(other, keys)| *other != pattern && keys.contains_key(unknown))
            .map(|(other, _)| other.as_str());
        match elsewhere {
            Some("") => format!("`{unknown}` belongs at the top, before the first section"),
            Some(section) => format!("`{unknown}` belongs in [{section}]"),
            None => format!("known here: {}", known.join(", ")),
        }
    }
}

/// The known name that `typed` most probably was meant to be.
pub(super) fn closest<'n>(
    typed: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let allowed = (typed.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(typed, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// `PASSGATE_PORTAL__ADMIN__KIND` for `kind` in `portal.admin`.
fn variable(pattern: &str, key: &str) -> String {
    let path = if pattern.is_empty() { key.to_owned() } else { format!("{pattern}.{key}") };
    format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(index, _)| index + 1)).collect()
}
