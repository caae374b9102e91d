//! What is wrong with a profile, told so that its author can mend it.

use std::fmt;

/// One problem of a profile file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileProblem {
    /// The file, as the caller named it.
    pub file: String,
    /// Line, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for ProfileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// All problems of a profile; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileProblems(pub Vec<ProfileProblem>);

impl fmt::Display for ProfileProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ProfileProblems {}

/// Collects problems while a text is checked.
pub(super) struct Problems<'a> {
    text: &'a str,
    file: &'a str,
    found: Vec<ProfileProblem>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(text: &'a str, file: &'a str) -> Self {
        Self { text, file, found: Vec::new() }
    }

    /// Notes a problem at a byte offset of the text.
    pub(super) fn add(&mut self, at: Option<usize>, message: impl fmt::Display, hint: &str) {
        let line = at.map(|offset| {
            let before = self.text.as_bytes().iter().take(offset);
            before.filter(|byte| **byte == b'\n').count() + 1
        });
        self.found.push(ProfileProblem {
            file: self.file.to_owned(),
            line,
            message: message.to_string(),
            hint: (!hint.is_empty()).then(|| hint.to_owned()),
        });
    }

    /// Notes what the TOML reader found; a misspelt key gets the nearest known one as hint.
    pub(super) fn add_toml(&mut self, error: &toml::de::Error) {
        let hint = unknown_key_hint(error.message()).unwrap_or_default();
        self.add(error.span().map(|span| span.start), error.message(), &hint);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn into_found(mut self) -> ProfileProblems {
        self.found.sort_by_key(|problem| problem.line);
        ProfileProblems(self.found)
    }
}

/// serde says: unknown field `x`, expected one of `a`, `b`.
fn unknown_key_hint(message: &str) -> Option<String> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    let near = quoted.max_by(|a, b| {
        strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown))
    })?;
    (strsim::jaro_winkler(near, unknown) > 0.8).then(|| format!("did you mean `{near}`?"))
}
