//! Judging the PBX's first answer to a login: ordered predicates, the first that matches wins.

use regex::Regex;
use regex::bytes::Regex as BytesRegex;
use serde_json::Value;

/// The PBX's first answer to a login, before any redirect is followed.
#[derive(Debug, Clone, Copy, Default)]
pub struct FirstResponse<'a> {
    /// Status code.
    pub status: u16,
    /// `Location`: reduced to a path with query where it names the portal itself, else as sent.
    pub location: Option<&'a str>,
    /// Names of the cookies that the answer sets.
    pub cookies_set: &'a [String],
    /// Names of those among them whose value differs from before the login.
    pub cookies_changed: &'a [String],
    /// The body, identity-coded; its first 64 KiB.
    pub body: &'a [u8],
}

/// What the PBX meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Judgement {
    /// The credential is right.
    Accepted,
    /// The credential is wrong.
    Refused,
    /// The PBX asks a second question; proves nothing.
    Challenge,
    /// The form's hidden token was stale: try once more with a fresh page.
    TokenError,
    /// No predicate matched: treated as an outage.
    Unknown,
}

/// One predicate: every condition that is given must hold.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) judgement: Judgement,
    pub(super) conditions: Conditions,
}

/// Conditions on an answer; an empty list or `None` holds always.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    pub(super) status: Vec<u16>,
    pub(super) location: Option<Regex>,
    pub(super) cookie_set: Vec<String>,
    pub(super) cookie_changed: Vec<String>,
    pub(super) body: Option<BytesRegex>,
    pub(super) json: Vec<JsonCondition>,
}

/// A condition on one place of a JSON body.
#[derive(Debug, Clone)]
pub(super) struct JsonCondition {
    /// RFC 6901.
    pub(super) pointer: String,
    /// The value it must have; `None`: it must exist.
    pub(super) equals: Option<Value>,
}

/// How much of a body is looked at.
const JUDGED_BODY: usize = 64 * 1024;

/// The first rule that matches.
pub(super) fn judge(rules: &[Rule], first: &FirstResponse<'_>) -> Judgement {
    rules
        .iter()
        .find(|rule| rule.conditions.hold(first))
        .map_or(Judgement::Unknown, |rule| rule.judgement)
}

impl Conditions {
    pub(super) fn hold(&self, first: &FirstResponse<'_>) -> bool {
        let body = &first.body[..first.body.len().min(JUDGED_BODY)];
        (self.status.is_empty() || self.status.contains(&first.status))
            && self
                .location
                .as_ref()
                .is_none_or(|regex| first.location.is_some_and(|to| regex.is_match(to)))
            && any_of(&self.cookie_set, first.cookies_set)
            && any_of(&self.cookie_changed, first.cookies_changed)
            && self.body.as_ref().is_none_or(|regex| regex.is_match(body))
            && self.json_holds(body)
    }

    fn json_holds(&self, body: &[u8]) -> bool {
        if self.json.is_empty() {
            return true;
        }
        let Ok(value) = serde_json::from_slice::<Value>(body) else { return false };
        self.json.iter().all(|condition| condition.holds(&value))
    }

    /// Whether nothing is asked at all: such a rule would match everything.
    pub(super) fn is_empty(&self) -> bool {
        self.status.is_empty()
            && self.location.is_none()
            && self.cookie_set.is_empty()
            && self.cookie_changed.is_empty()
            && self.body.is_none()
            && self.json.is_empty()
    }
}

impl JsonCondition {
    pub(super) fn holds(&self, value: &Value) -> bool {
        let found = value.pointer(&self.pointer);
        match &self.equals {
            Some(expected) => found == Some(expected),
            None => found.is_some(),
        }
    }
}

fn any_of(wanted: &[String], present: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|name| present.contains(name))
}
