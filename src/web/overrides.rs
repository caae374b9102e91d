//! What an operator words or draws otherwise: the files of `pages.overrides`, by the names under
//! which they ship (`pages/login.html`, `mail/base.txt`, `locales/en.toml`). A locale file needs
//! only the texts that differ; one of another language adds that language.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use minijinja::Environment;

use super::texts::{self, Texts};
use super::{letters, look};
use crate::domain::language::Language;

/// Templates and texts in place of those that ship.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Templates of pages, by name.
    pages: Vec<(String, String)>,
    /// Templates of e-mails, by name.
    mail: Vec<(String, String)>,
    /// Texts, by key.
    locales: Vec<(Language, HashMap<String, String>)>,
}

impl Overrides {
    /// Reads a directory. `Err` has every problem, each with its file.
    pub fn read(directory: &Path) -> Result<Self, Vec<String>> {
        let mut reading = Reading::default();
        for (name, path) in reading.entries(directory) {
            match name.as_str() {
                "pages" => reading.templates(&path, &look::template_names(), Room::Pages),
                "mail" => reading.templates(&path, &letters::template_names(), Room::Mail),
                "locales" => reading.locales(&path),
                _ => reading.problem(&path, "only pages, mail and locales are read here"),
            }
        }
        match reading.problems.is_empty() {
            true => Ok(reading.found),
            false => Err(reading.problems),
        }
    }

    /// Templates of pages that differ.
    pub(super) fn pages(&self) -> &[(String, String)] {
        &self.pages
    }

    /// Templates of e-mails that differ.
    pub(super) fn mail(&self) -> &[(String, String)] {
        &self.mail
    }

    /// Texts of a language that differ.
    pub(super) fn texts_of(&self, tag: &str) -> HashMap<String, String> {
        let found = self.locales.iter().find(|(language, _)| language.tag() == tag);
        found.map(|(_, entries)| entries.clone()).unwrap_or_default()
    }

    /// Every language that is spoken: those that ship, and those of the directory.
    pub fn languages(&self) -> Vec<Language> {
        let mut all: Vec<Language> = Texts::shipped().collect();
        for (language, _) in &self.locales {
            if !all.contains(language) {
                all.push(language.clone());
            }
        }
        all
    }
}

#[derive(Debug, Clone, Copy)]
enum Room {
    Pages,
    Mail,
}

#[derive(Default)]
struct Reading {
    found: Overrides,
    problems: Vec<String>,
}

impl Reading {
    fn problem(&mut self, path: &Path, why: impl std::fmt::Display) {
        self.problems.push(format!("{}: {why}", path.display()));
    }

    /// Name and path of what lies in a directory, in a fixed order, without hidden files.
    fn entries(&mut self, directory: &Path) -> Vec<(String, PathBuf)> {
        let mut found = Vec::new();
        match fs::read_dir(directory) {
            Ok(entries) => found.extend(
                entries
                    .filter_map(Result::ok)
                    .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())),
            ),
            Err(error) => self.problem(directory, error),
        }
        found.retain(|(name, _)| !name.starts_with('.'));
        found.sort();
        found
    }

    fn text(&mut self, path: &Path) -> Option<String> {
        match fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) => {
                self.problem(path, error);
                None
            }
        }
    }

    fn templates(&mut self, directory: &Path, known: &[&str], room: Room) {
        for (name, path) in self.entries(directory) {
            if !known.contains(&name.as_str()) {
                self.problem(&path, format!("no template has this name: {}", known.join(", ")));
                continue;
            }
            let Some(source) = self.text(&path) else { continue };
            if let Err(error) = Environment::new().template_from_named_str(&name, &source) {
                self.problem(&path, error);
                continue;
            }
            match room {
                Room::Pages => self.found.pages.push((name, source)),
                Room::Mail => self.found.mail.push((name, source)),
            }
        }
    }

    fn locales(&mut self, directory: &Path) {
        let english = Texts::english();
        for (name, path) in self.entries(directory) {
            let language = name.strip_suffix(".toml").and_then(Language::parse);
            let Some(language) = language else {
                self.problem(&path, "a file of texts is named by its language: es.toml");
                continue;
            };
            let Some(text) = self.text(&path) else { continue };
            match texts::parse(&text) {
                Err(error) => self.problem(&path, error),
                Ok(entries) => {
                    for (key, text) in sorted(&entries) {
                        self.check(&path, &english, key, text);
                    }
                    self.found.locales.push((language, entries));
                }
            }
        }
    }

    /// A text must be known, and may only name values that are there to be filled in.
    fn check(&mut self, path: &Path, english: &HashMap<String, String>, key: &str, text: &str) {
        let Some(shipped) = english.get(key) else {
            return self.problem(path, format!("{key}: no text has this name"));
        };
        let known = texts::names_in(shipped);
        for name in texts::names_in(text) {
            // "1 day" needs no number, but another language may want one.
            let counts = name == "count" && key.ends_with(".one");
            if !counts && !known.contains(&name) {
                self.problem(path, format!("{key}: there is no {{{name}}} to be filled in here"));
            }
        }
    }
}

fn sorted(entries: &HashMap<String, String>) -> Vec<(&str, &str)> {
    let mut all: Vec<_> = entries.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        place
    }

    #[test]
    fn texts_and_languages_are_added() {
        let place = directory(&[
            ("locales/en.toml", "[login]\ntitle = \"Welcome\"\n"),
            ("locales/fr.toml", "[login]\ntitle = \"Connexion\"\n"),
            ("locales/.en.toml.swp", "no"),
        ]);
        let overrides = Overrides::read(place.path()).unwrap();
        let texts = |tag| Texts::new(&Language::parse(tag).unwrap(), &overrides);
        assert_eq!(texts("en").get("login.title"), "Welcome");
        assert_eq!(texts("fr").get("login.title"), "Connexion");
        assert_eq!(texts("fr").get("login.submit"), "Sign in");
        assert_eq!(texts("fr").get("language.code"), "fr");
        assert!(overrides.languages().contains(&Language::parse("fr").unwrap()));
    }

    /// Everything that is wrong is said at once, with its file.
    #[test]
    fn what_cannot_be_used_is_said() {
        let place = directory(&[
            ("pages/login.html", "{% if %}"),
            ("pages/logni.html", ""),
            ("locales/en.toml", "[login]\ntitel = \"x\"\nsubmit = \"{name}\"\n"),
            ("locales/english!.toml", ""),
            ("locales/es.toml", "[broken"),
            ("images/logo.svg", ""),
        ]);
        let problems = Overrides::read(place.path()).unwrap_err();
        for said in [
            "images: only pages, mail and locales",
            "en.toml: login.submit: there is no {name}",
            "en.toml: login.titel: no text has this name",
            "english!.toml: a file of texts is named by its language",
            "es.toml: ",
            "login.html: ",
            "logni.html: no template has this name: base.html",
        ] {
            assert!(problems.iter().any(|problem| problem.contains(said)), "{said}: {problems:?}");
        }
        assert_eq!(problems.len(), 7, "{problems:?}");
        assert_eq!(Overrides::read(Path::new("/does/not/exist")).unwrap_err().len(), 1);
    }
}
