//! Answers in the portal's own shape, for login forms that a script sends.

/// What is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerKind {
    /// Login name or secret is wrong.
    Refused,
    /// Too many failures.
    Locked,
    /// A portal password must be set first.
    SetPassword,
}

/// One answer: status, media type, and a body with places for `{message}`, `{login}` and `{url}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerTemplate {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type` of the body.
    pub content_type: String,
    pub(super) body: String,
}

/// The templates of one login endpoint; `None`: it is a page's form, answered with a redirect.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    pub(super) refused: Option<AnswerTemplate>,
    pub(super) locked: Option<AnswerTemplate>,
    pub(super) set_password: Option<AnswerTemplate>,
}

impl AnswerTemplate {
    /// The body with its places filled in. Values are escaped for a JSON string, or for HTML when
    /// the template is a page.
    pub fn render(&self, values: &[(&str, &str)]) -> String {
        let json = self.content_type.contains("json");
        let mut body = String::with_capacity(self.body.len() + 128);
        let mut rest = self.body.as_str();
        while let Some(at) = rest.find('{') {
            body.push_str(&rest[..at]);
            rest = &rest[at..];
            let place = values.iter().find_map(|(name, value)| {
                let after = rest[1..].strip_prefix(name)?.strip_prefix('}')?;
                Some((*value, after))
            });
            if let Some((value, after)) = place {
                body.push_str(&if json { escape_json(value) } else { escape_html(value) });
                rest = after;
            } else {
                body.push('{');
                rest = &rest[1..];
            }
        }
        body.push_str(rest);
        body
    }
}

fn escape_json(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn escape_html(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-C1: script logins get the portal's own answer shape; values cannot break out of it.
    #[test]
    fn values_are_escaped_for_their_place() {
        let json = AnswerTemplate {
            status: 200,
            content_type: "application/json".into(),
            body: r#"{"status":false,"message":"{message}","x":"{other}"}"#.into(),
        };
        let body = json.render(&[("message", "a\"b{login}\n"), ("login", "x")]);
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value["message"], "a\"b{login}\n");
        assert_eq!(value["x"], "{other}");
        let html = AnswerTemplate {
            content_type: "text/html".into(),
            body: "<p>{message}".into(),
            ..json
        };
        assert_eq!(html.render(&[("message", "<b>")]), "<p>&lt;b&gt;");
    }
}
