//! Which fields of the API's answers users do not get to see: voicemail PINs and the like.

use serde_json::Value;

use super::paths::PathSet;

/// Longest name that is looked for, in bytes.
pub const LONGEST_NAME: usize = 127;
/// Most pointers of one section: one bit for each.
pub(super) const MOST_POINTERS: usize = 64;

/// One `[[redact]]` section.
#[derive(Debug, Clone, Default)]
pub struct Redaction {
    pub(super) paths: PathSet,
    pub(super) members: Names,
    pub(super) pointers: Vec<Vec<Step>>,
    pub(super) elements: Names,
    pub(super) with: String,
}

/// What a value in a JSON answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sight {
    /// It is put out of sight.
    pub hidden: bool,
    /// The pointers that may still name something in it, one bit for each.
    pub leading: u64,
}

/// How a value lies in the one around it.
#[derive(Debug, Clone, Copy)]
pub enum At<'n> {
    /// As a member; `None` for a name that is longer than [`LONGEST_NAME`].
    Member(Option<&'n [u8]>),
    /// As an element of an array.
    Index(u64),
}

impl Redaction {
    /// Whether answers to requests for this path are read. Case does not matter: some servers
    /// ignore it.
    pub fn covers(&self, path: &str) -> bool {
        self.paths.contains_in_any_case(path)
    }

    /// What is put in for a hidden value.
    pub fn with(&self) -> &str {
        &self.with
    }

    /// The outermost value of a JSON text.
    pub fn whole(&self) -> Sight {
        let leading = match self.pointers.len() {
            0 => 0,
            count => u64::MAX >> (MOST_POINTERS - count.min(MOST_POINTERS)),
        };
        Sight { hidden: false, leading }
    }

    /// A value within another, which is `depth` steps below the outermost and which the pointers
    /// of `leading` lead into.
    pub fn within(&self, leading: u64, depth: usize, at: At<'_>) -> Sight {
        let hidden = matches!(at, At::Member(Some(name)) if self.members.contain(name));
        let mut sight = Sight { hidden, leading: 0 };
        if leading == 0 {
            return sight;
        }
        for (number, steps) in self.pointers.iter().enumerate() {
            let bit = 1 << number;
            if leading & bit == 0 || !steps.get(depth).is_some_and(|step| step.leads_to(at)) {
                continue;
            }
            if steps.len() == depth + 1 {
                sight.hidden = true;
            } else {
                sight.leading |= bit;
            }
        }
        sight
    }

    /// Puts out of sight what is hidden in a JSON text that is at hand as a whole.
    pub fn hide_in(&self, answer: &mut Value) {
        self.hide(answer, self.whole(), 0);
    }

    fn hide(&self, value: &mut Value, sight: Sight, depth: usize) {
        let within = |at: At<'_>| self.within(sight.leading, depth, at);
        match value {
            Value::Null | Value::Bool(_) => {}
            hidden if sight.hidden => *hidden = self.with.as_str().into(),
            Value::Array(items) => {
                for (index, item) in (0..).zip(items) {
                    self.hide(item, within(At::Index(index)), depth + 1);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    let name = Some(name.as_bytes()).filter(|name| name.len() <= LONGEST_NAME);
                    self.hide(member, within(At::Member(name)), depth + 1);
                }
            }
            Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Whether members of this name are hidden wherever they are.
    pub fn hides_member(&self, name: &[u8]) -> bool {
        self.members.contain(name)
    }

    /// Whether XML elements and attributes of this name (without its prefix) are hidden.
    pub fn hides_element(&self, name: &[u8]) -> bool {
        self.elements.contain(name)
    }
}

/// Names without regard to the case of ASCII letters.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    names: Vec<String>,
    /// The lengths that occur, one bit for each: most names are ruled out by it.
    lengths: u128,
}

impl Names {
    pub(super) fn new(names: Vec<String>) -> Self {
        let lengths = names.iter().filter(|name| name.len() <= LONGEST_NAME);
        let lengths = lengths.fold(0, |lengths, name| lengths | 1 << name.len());
        Self { names, lengths }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn contain(&self, name: &[u8]) -> bool {
        name.len() <= LONGEST_NAME
            && self.lengths >> name.len() & 1 == 1
            && self.names.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
    }
}

/// One step of a JSON pointer.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// `*`: every member or element.
    Any,
    /// A member, or the element of this number.
    To(String, Option<u64>),
}

impl Step {
    fn leads_to(&self, at: At<'_>) -> bool {
        match (self, at) {
            (Self::Any, _) => true,
            (Self::To(name, _), At::Member(found)) => found == Some(name.as_bytes()),
            (Self::To(_, index), At::Index(found)) => *index == Some(found),
        }
    }
}

/// Reads a JSON pointer (RFC 6901), in which `*` stands for any one step.
pub(super) fn pointer(text: &str) -> Result<Vec<Step>, String> {
    let steps = text.strip_prefix('/');
    let steps = steps.ok_or_else(|| format!("`{text}`: a JSON pointer begins with `/`"))?;
    let step = |step: &str| {
        if step == "*" {
            return Ok(Step::Any);
        }
        let unescaped = step.replace("~1", "/").replace("~0", "~");
        let tildes = step.matches('~').count();
        if tildes != step.matches("~0").count() + step.matches("~1").count() {
            return Err(format!("`{text}`: `~` is written `~0`, `/` in a name `~1`"));
        }
        if unescaped.len() > LONGEST_NAME {
            return Err(format!("`{text}`: a name has at most {LONGEST_NAME} bytes"));
        }
        let index = unescaped.parse().ok();
        Ok(Step::To(unescaped, index))
    };
    steps.split('/').map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn with_section(section: &str) -> Result<Profile, String> {
        let text = Profile::builtin("generic").unwrap();
        let parsed = Profile::parse(&format!("{text}\n[[redact]]\n{section}"), "x.toml");
        parsed.map_err(|problems| problems.to_string())
    }

    #[test]
    fn pointers_lead_step_by_step() {
        let profile =
            with_section("paths = [\"/api/*\"]\npointers = [\"/a/*/pin\", \"/a/0\", \"/*/b~1c\"]");
        let profile = profile.unwrap();
        let rule = profile.redaction("/api/x").unwrap();
        let whole = rule.whole();
        assert_eq!(whole, Sight { hidden: false, leading: 0b111 });
        let member = |name: &'static str| At::Member(Some(name.as_bytes()));
        let a = rule.within(whole.leading, 0, member("a"));
        assert_eq!(a, Sight { hidden: false, leading: 0b111 });
        assert!(rule.within(a.leading, 1, At::Index(0)).hidden);
        assert!(rule.within(a.leading, 1, member("0")).hidden);
        assert!(rule.within(a.leading, 1, member("b/c")).hidden);
        let second = rule.within(a.leading, 1, At::Index(1));
        assert_eq!(second, Sight { hidden: false, leading: 0b001 });
        assert!(rule.within(second.leading, 2, member("pin")).hidden);
        assert!(!rule.within(second.leading, 2, member("PIN")).hidden, "pointers are exact");
        let long = rule.within(whole.leading, 0, At::Member(None));
        assert_eq!(long, Sight { hidden: false, leading: 0b100 });
    }

    /// R-F4: what is at hand as a whole is hidden as what streams by.
    #[test]
    fn whole_answers_are_hidden_in() {
        let section =
            "paths = [\"/api/*\"]\nmembers = [\"pin\"]\npointers = [\"/a/*/code\"]\nwith = \"*\"";
        let profile = with_section(section).unwrap();
        let mut answer = serde_json::json!({
            "PIN": "48271", "pins": "1", "user": "48271", "x": [{ "pin": 48271 }, { "pin": null }],
            "a": [{ "code": "48271" }, { "b": { "code": "1" } }], "code": "1",
        });
        profile.redaction("/api/token").unwrap().hide_in(&mut answer);
        let expected = serde_json::json!({
            "PIN": "*", "pins": "1", "user": "48271", "x": [{ "pin": "*" }, { "pin": null }],
            "a": [{ "code": "*" }, { "b": { "code": "1" } }], "code": "1",
        });
        assert_eq!(answer, expected);
    }

    #[test]
    fn names_ignore_case_and_paths_too() {
        let profile = with_section("paths = [\"/api/*\"]\nmembers = [\"Pin\", \"pwd\"]").unwrap();
        let rule = profile.redaction("/API/x").unwrap();
        for hidden in ["pin", "PIN", "pwd"] {
            assert!(rule.hides_member(hidden.as_bytes()), "{hidden}");
        }
        for shown in ["", "pi", "pins", "pwd ", &"p".repeat(200)] {
            assert!(!rule.hides_member(shown.as_bytes()), "{shown}");
        }
        assert!(profile.redaction("/api").is_none());
    }

    /// All that is wrong is told, with its place.
    #[test]
    fn careless_sections_are_refused() {
        for (section, told) in [
            ("paths = []\nmembers = [\"a\"]", "needs at least one path"),
            ("paths = [\"api\"]\nmembers = [\"a\"]", "does not begin with `/`"),
            ("paths = [\"/api\"]", "hides nothing"),
            ("paths = [\"/api\"]\nmembers = [\"\"]", "is no name"),
            ("paths = [\"/api\"]\nelements = [\"a:b\"]", "is no name"),
            ("paths = [\"/api\"]\npointers = [\"a\"]", "begins with `/`"),
            ("paths = [\"/api\"]\npointers = [\"/~2\"]", "`~` is written `~0`"),
            ("paths = [\"/api\"]\nmembers = [\"a\"]\nmember = []", "did you mean `members`"),
        ] {
            let problem = with_section(section).err().unwrap_or_default();
            assert!(problem.contains(told), "{section}: {problem}");
        }
    }
}
