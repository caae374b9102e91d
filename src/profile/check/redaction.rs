//! `[[redact]]`.

use toml::Spanned;

use super::{Checker, start};
use crate::profile::raw::{RawRedaction, Text};
use crate::profile::redaction::{LONGEST_NAME, MOST_POINTERS, Names, Redaction, pointer};

impl Checker<'_> {
    pub(super) fn redaction(&mut self, raw: &Spanned<RawRedaction>) -> Redaction {
        let (at, raw) = (start(raw), raw.get_ref());
        if raw.paths.get_ref().is_empty() {
            self.0.add(start(&raw.paths), "a [[redact]] section needs at least one path", "");
        }
        let mut pointers = Vec::new();
        for text in &raw.pointers {
            match pointer(text.get_ref()) {
                Ok(steps) => pointers.push(steps),
                Err(problem) => self.0.add(start(text), problem, ""),
            }
        }
        if raw.pointers.len() > MOST_POINTERS {
            let hint = "use `members`, or another section for other paths";
            let message = format!("a [[redact]] section has at most {MOST_POINTERS} pointers");
            self.0.add(at, message, hint);
        }
        let (members, elements) =
            (self.names(&raw.members, false), self.names(&raw.elements, true));
        if members.is_empty() && raw.pointers.is_empty() && elements.is_empty() {
            self.0.add(at, "this section hides nothing", "name members, pointers or elements");
        }
        let with = raw.with.clone();
        Redaction { paths: self.paths(raw.paths.get_ref()), members, pointers, elements, with }
    }

    fn names(&mut self, names: &[Text], of_elements: bool) -> Names {
        for name in names {
            let text = name.get_ref();
            let bad = |c: char| c.is_whitespace() || "<>/=\"':&".contains(c);
            if text.is_empty() || text.len() > LONGEST_NAME || of_elements && text.contains(bad) {
                let hint = format!("1 to {LONGEST_NAME} bytes, elements without their prefix");
                self.0.add(start(name), format!("`{text}` is no name"), &hint);
            }
        }
        Names::new(names.iter().map(|name| name.get_ref().clone()).collect())
    }
}
