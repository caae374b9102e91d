//! One section of the file, read key by key. A mistake is noted and a default stands in, so that
//! the rest is still checked; nothing that was read leaves the module if there was a mistake.

use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::problems::Place;
use super::source::Source;
use super::value::{Value, Wrong, kind};
use crate::domain::secret::Secret;

pub(super) struct Section<'s> {
    source: &'s Source<'s>,
    /// As shown: `rollout.tenants."acme"`.
    name: String,
    /// As known: `rollout.tenants.*`.
    pattern: String,
    table: Option<&'s DeTable<'s>>,
    line: Option<usize>,
    /// Whether variables override its keys: tables with names of their own cannot be named in one.
    overridable: bool,
}

impl<'s> Section<'s> {
    pub fn root(source: &'s Source<'s>, document: &'s DeTable<'s>) -> Self {
        source.enter("", "", document);
        Self {
            source,
            name: String::new(),
            pattern: String::new(),
            table: Some(document),
            line: None,
            overridable: true,
        }
    }

    /// A section within this one; empty if it was not written.
    pub fn section(&self, key: &'static str) -> Section<'s> {
        self.source.ask(&self.pattern, key, false);
        let name = join(&self.name, key);
        let pattern = join(&self.pattern, key);
        match self.entry(key) {
            Some((line, DeValue::Table(table))) => {
                self.inner(name, pattern, Some(table), Some(line), self.overridable)
            }
            Some((line, other)) => {
                let message = format!("[{name}] must be a section, not {}", kind(other));
                self.source.problem(self.source.place(Some(line)), message, None);
                self.inner(name, pattern, None, None, self.overridable)
            }
            None => self.inner(name, pattern, None, self.line, self.overridable),
        }
    }

    /// The sections of a list: `[[server.certificate]]`.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'s>> {
        self.source.ask(&self.pattern, key, false);
        let name = join(&self.name, key);
        let mut sections = Vec::new();
        let elements = match self.entry(key) {
            None => return sections,
            Some((_, DeValue::Array(elements))) => elements,
            Some((line, _)) => {
                let message = format!("write [[{name}]] with two brackets: there may be several");
                self.source.problem(self.source.place(Some(line)), message, None);
                return sections;
            }
        };
        for element in elements {
            let line = self.source.line(element.span().start);
            match element.get_ref() {
                DeValue::Table(table) => {
                    let pattern = join(&self.pattern, key);
                    sections.push(self.inner(
                        name.clone(),
                        pattern,
                        Some(table),
                        Some(line),
                        false,
                    ));
                }
                other => {
                    let message = format!("[[{name}]] must be a section, not {}", kind(other));
                    self.source.problem(self.source.place(Some(line)), message, None);
                }
            }
        }
        sections
    }

    /// The sections by name: `[rollout.tenants."acme"]`.
    pub fn named_sections(&self, key: &'static str) -> Vec<(&'s str, Section<'s>)> {
        self.source.ask(&self.pattern, key, false);
        let mut sections = Vec::new();
        match self.entry(key) {
            None => {}
            Some((_, DeValue::Table(tables))) => {
                for (own, value) in tables {
                    let own_name: &'s str = own.get_ref();
                    let name = format!("{}.\"{own_name}\"", join(&self.name, key));
                    let line = self.source.line(own.span().start);
                    if let DeValue::Table(table) = value.get_ref() {
                        let pattern = format!("{}.*", join(&self.pattern, key));
                        let inner = self.inner(name, pattern, Some(table), Some(line), false);
                        sections.push((own_name, inner));
                    } else {
                        let message = format!("[{name}] must be a section");
                        self.source.problem(self.source.place(Some(line)), message, None);
                    }
                }
            }
            Some((line, _)) => {
                let message = format!("[{}] must be a section", join(&self.name, key));
                self.source.problem(self.source.place(Some(line)), message, None);
            }
        }
        sections
    }

    /// The value of a key, if it was given and is right.
    pub fn get<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(Value<'s>) -> Result<T, Wrong>,
    ) -> Option<T> {
        let variable = self.source.ask(&self.pattern, key, self.overridable);
        let value = match (variable, self.entry(key)) {
            (Some(text), _) => Value::Text(text),
            (None, Some((_, value))) => Value::Toml(value),
            (None, None) => return None,
        };
        match read(value) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.wrong(self.place(key), key, wrong);
                None
            }
        }
    }

    /// The value of a key, or its default.
    pub fn or<T>(
        &self,
        key: &'static str,
        default: T,
        read: impl FnOnce(Value<'s>) -> Result<T, Wrong>,
    ) -> T {
        self.get(key, read).unwrap_or(default)
    }

    /// The value of a key that has no default.
    pub fn required<T>(
        &self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(Value<'s>) -> Result<T, Wrong>,
    ) -> Option<T> {
        if !self.has(key) {
            let hint = match self.overridable {
                true => format!("write {key} = {example} in [{}]", self.name),
                false => format!("write {key} = {example}"),
            };
            self.source.ask(&self.pattern, key, self.overridable);
            let place = self.source.place(self.line);
            self.source.problem(place, format!("{} is missing", self.full(key)), Some(hint));
            return None;
        }
        self.get(key, read)
    }

    /// The elements of a list, each with its place. A variable separates them by commas.
    pub fn list<T>(
        &self,
        key: &'static str,
        read: impl Fn(Value<'s>) -> Result<T, Wrong>,
    ) -> Option<Vec<(T, Place)>> {
        let variable = self.source.ask(&self.pattern, key, self.overridable);
        let mut values = Vec::new();
        match (variable, self.entry(key)) {
            (Some(text), _) => {
                for element in text.split(',').map(str::trim).filter(|text| !text.is_empty()) {
                    values.push((Value::Text(element), self.place(key)));
                }
            }
            (None, Some((_, DeValue::Array(elements)))) => {
                for element in elements {
                    let line = self.source.line(element.span().start);
                    values.push((Value::Toml(element.get_ref()), self.source.place(Some(line))));
                }
            }
            (None, Some((_, other))) => {
                let message = format!("must be a list in brackets, not {}", kind(other));
                self.wrong(self.place(key), key, Wrong { message, hint: None });
                return None;
            }
            (None, None) => return None,
        }
        let mut read_values = Vec::new();
        for (value, place) in values {
            match read(value) {
                Ok(value) => read_values.push((value, place)),
                Err(wrong) => self.wrong(place, key, wrong),
            }
        }
        Some(read_values)
    }

    /// The elements of a list that has no default.
    pub fn required_list<T>(
        &self,
        key: &'static str,
        example: &str,
        read: impl Fn(Value<'s>) -> Result<T, Wrong>,
    ) -> Option<Vec<T>> {
        if !self.has(key) {
            return self.required(key, example, |_| Ok(Vec::new()));
        }
        Some(self.plain_list(key, read))
    }

    /// The elements of a list without their places; empty if it was not given.
    pub fn plain_list<T>(
        &self,
        key: &'static str,
        read: impl Fn(Value<'s>) -> Result<T, Wrong>,
    ) -> Vec<T> {
        self.list(key, read).unwrap_or_default().into_iter().map(|(value, _)| value).collect()
    }

    /// A secret, given as itself or in a file of its own; empty is "none".
    pub fn secret(&self, key: &'static str, file_key: &'static str) -> Option<Secret> {
        let given = self.get(key, Value::optional_text);
        let file = self.path(file_key);
        match (given.flatten(), file) {
            (Some(_), Some(_)) => {
                let message = format!("given twice: as `{key}` and as `{file_key}`");
                self.problem(file_key, &message, Some("keep one of them"));
                None
            }
            (Some(secret), None) => Some(Secret::new(secret)),
            (None, Some(file)) => self
                .text_of(file_key, &file)
                .map(|text| Secret::new(text.trim_end_matches(['\r', '\n']))),
            (None, None) => None,
        }
    }

    /// A path, relative to the configuration file; empty is "none".
    pub fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.get(key, Value::optional_text).flatten().map(|path| self.source.resolve(&path))
    }

    /// A path as the file's author meant it: relative to the file.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.source.resolve(path)
    }

    /// What a file that `key` names has in it; noted if it cannot be read.
    pub fn text_of(&self, key: &'static str, file: &std::path::Path) -> Option<String> {
        match std::fs::read_to_string(file) {
            Ok(text) => Some(text),
            Err(error) => {
                self.problem(key, &format!("{} cannot be read: {error}", file.display()), None);
                None
            }
        }
    }

    /// Whether the key was given, by whichever way.
    pub fn has(&self, key: &'static str) -> bool {
        self.variable_of(key).is_some() || self.entry(key).is_some()
    }

    /// Where the key was given; the section's place if it was not.
    pub fn place(&self, key: &'static str) -> Place {
        match self.variable_of(key) {
            Some(name) => Place::Variable(name.to_owned()),
            None => self.source.place(self.entry(key).map(|(line, _)| line).or(self.line)),
        }
    }

    pub fn problem(&self, key: &'static str, message: &str, hint: Option<&str>) {
        let message = format!("{}: {message}", self.full(key));
        self.source.problem(self.place(key), message, hint.map(str::to_owned));
    }

    pub fn problem_at(&self, place: Place, key: &str, message: &str, hint: Option<&str>) {
        let message = format!("{}: {message}", self.full(key));
        self.source.problem(place, message, hint.map(str::to_owned));
    }

    /// Notes what is wrong in a file that one of the keys names.
    pub fn problem_in_other_file(&self, place: Place, message: String, hint: Option<String>) {
        self.source.problem(place, message, hint);
    }

    pub fn warn(&self, key: &'static str, message: &str, hint: Option<&str>) {
        let message = format!("{}: {message}", self.full(key));
        self.source.warn(self.place(key), message, hint.map(str::to_owned));
    }

    /// Notes a setting that asks for something this version cannot do. Never passed over in
    /// silence: an operator would believe that it holds.
    pub fn unavailable(&self, key: &'static str, what: &str) {
        self.problem(key, &format!("not available in this version: {what}"), None);
    }

    /// The full name of a key: `lockout.window`.
    fn full(&self, key: &str) -> String {
        join(&self.name, key)
    }

    fn wrong(&self, place: Place, key: &str, wrong: Wrong) {
        self.source.problem(place, format!("{}: {}", self.full(key), wrong.message), wrong.hint);
    }

    fn variable_of(&self, key: &str) -> Option<&'s str> {
        self.overridable.then(|| self.source.variable_of(&self.pattern, key)).flatten()
    }

    fn entry(&self, key: &str) -> Option<(usize, &'s DeValue<'s>)> {
        let (key, value) = self.table?.get_key_value(key)?;
        Some((self.source.line(key.span().start), value.get_ref()))
    }

    fn inner(
        &self,
        name: String,
        pattern: String,
        table: Option<&'s DeTable<'s>>,
        line: Option<usize>,
        overridable: bool,
    ) -> Section<'s> {
        if let Some(table) = table {
            self.source.enter(&pattern, &name, table);
        }
        Section { source: self.source, name, pattern, table, line, overridable }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
