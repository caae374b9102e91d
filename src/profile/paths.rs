//! Sets of paths: exact, by prefix, by regular expression.

use regex::Regex;

/// A set of canonical paths. Written as a list in a profile: `"/a/b"` is one path, `"/a/*"` is
/// every path that begins with `/a/`, `"~^/a/[0-9]+$"` is a regular expression.
#[derive(Debug, Clone, Default)]
pub struct PathSet {
    exact: Vec<String>,
    prefixes: Vec<String>,
    regexes: Vec<Regex>,
}

impl PathSet {
    /// Adds one entry of a list; `Err` says what is wrong with it.
    pub fn add(&mut self, entry: &str) -> Result<(), String> {
        if let Some(pattern) = entry.strip_prefix('~') {
            let regex = Regex::new(pattern).map_err(|e| format!("bad regular expression: {e}"))?;
            self.regexes.push(regex);
            return Ok(());
        }
        if !entry.starts_with('/') {
            return Err(format!("the path `{entry}` does not begin with `/`"));
        }
        match entry.strip_suffix('*') {
            Some(prefix) if prefix.contains('*') => return Err(misplaced_star(entry)),
            Some(prefix) => self.prefixes.push(prefix.to_owned()),
            None if entry.contains('*') => return Err(misplaced_star(entry)),
            None => self.exact.push(entry.to_owned()),
        }
        Ok(())
    }

    /// Whether the path is in the set; case matters.
    pub fn contains(&self, path: &str) -> bool {
        self.exact.iter().any(|exact| exact == path)
            || self.prefixes.iter().any(|prefix| path.starts_with(prefix.as_str()))
            || self.regexes.iter().any(|regex| regex.is_match(path))
    }

    /// Whether the path, in any mixture of cases, is in the set: for refusing, where a PBX on a
    /// case-insensitive file system must not be reached around.
    pub fn contains_in_any_case(&self, path: &str) -> bool {
        self.exact.iter().any(|exact| exact.eq_ignore_ascii_case(path))
            || self.prefixes.iter().any(|prefix| begins_in_any_case(path, prefix))
            || self
                .regexes
                .iter()
                .any(|regex| regex.is_match(path) || regex.is_match(&path.to_ascii_lowercase()))
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty() && self.regexes.is_empty()
    }
}

/// Whether `path` begins with `prefix`, ASCII case aside.
pub(super) fn begins_in_any_case(path: &str, prefix: &str) -> bool {
    path.as_bytes()
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

fn misplaced_star(entry: &str) -> String {
    format!("`{entry}`: `*` stands only at the end; `~` begins a regular expression")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entries: &[&str]) -> PathSet {
        let mut set = PathSet::default();
        entries.iter().for_each(|entry| set.add(entry).unwrap());
        set
    }

    #[test]
    fn exact_prefix_and_regex() {
        let set = set(&["/a", "/static/*", r"~^/x/[0-9]+\.png$"]);
        for inside in ["/a", "/static/", "/static/css/x.css", "/x/12.png"] {
            assert!(set.contains(inside), "{inside}");
        }
        for outside in ["/a/", "/A", "/static", "/Static/x", "/x/a.png", "/x/1.png/y", "/"] {
            assert!(!set.contains(outside), "{outside}");
        }
        for variant in ["/A", "/STATIC/x", "/X/12.PNG"] {
            assert!(set.contains_in_any_case(variant), "{variant}");
        }
        assert!(!set.contains_in_any_case("/äöü"));
    }

    #[test]
    fn bad_entries_are_told() {
        for bad in ["a", "/a*b", "/*/*", "~(", ""] {
            assert!(PathSet::default().add(bad).is_err(), "{bad}");
        }
    }
}
