//! Fields that carry credentials, recognised in every spelling that a PBX would understand.

use super::paths::PathSet;

/// A field whose presence outside the login endpoints is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialField {
    name: String,
    segments: Vec<String>,
    query_only: bool,
}

/// The profile's credential fields and the paths where forms may hold them.
#[derive(Debug, Clone, Default)]
pub(super) struct Credentials {
    pub(super) fields: Vec<CredentialField>,
    pub(super) exempt: PathSet,
}

impl Credentials {
    pub(super) fn hit(&self, name: &str, in_query: bool) -> bool {
        let segments = segments(name);
        self.fields.iter().any(|field| (in_query || !field.query_only) && field.is(&segments))
    }
}

impl CredentialField {
    pub(super) fn new(name: &str, query_only: bool) -> Self {
        Self { name: name.to_owned(), segments: segments(name), query_only }
    }

    /// The field's name as the portal's own form spells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is refused in the query only (API keys that log in).
    pub fn query_only(&self) -> bool {
        self.query_only
    }

    /// Whether a decoded parameter name means this field: case, leading space, a NUL with what
    /// follows, PHP's `.` and space for `_`, and further brackets (`user[]`) do not hide it.
    pub fn matches(&self, name: &str) -> bool {
        self.is(&segments(name))
    }

    fn is(&self, segments: &[String]) -> bool {
        segments.starts_with(&self.segments)
    }
}

/// `data[Login][user]` → `data`, `login`, `user`, the way PHP reads names, but folded.
fn segments(name: &str) -> Vec<String> {
    let name = name.split('\0').next().unwrap_or_default().trim().to_lowercase();
    // PHP reads a bracket that is never closed as an underscore.
    let name = if name.contains(']') { name } else { name.replacen('[', "_", 1) };
    let (base, rest) = name.split_once('[').unwrap_or((name.as_str(), ""));
    let base: String =
        base.trim_end().chars().map(|c| if matches!(c, '.' | ' ') { '_' } else { c }).collect();
    let mut segments = vec![base];
    for segment in rest.split('[') {
        let segment = segment.split(']').next().unwrap_or_default().trim();
        if !segment.is_empty() {
            segments.push(segment.trim_matches(['"', '\'']).to_owned());
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    /// security.md, bypass: no spelling of a credential field goes unseen.
    #[test]
    fn spellings_of_a_credential_field() {
        let field = CredentialField::new("data[Login][password]", false);
        for variant in [
            "data[Login][password]",
            " data[Login][password]",
            "DATA[login][PASSWORD]",
            "data[Login][password][]",
            "data[Login][password][x]",
            "data[Login][password]\0x",
            "data[Login][password",
            "data[Login]x[password]",
        ] {
            assert!(field.matches(variant), "{variant:?}");
        }
        for other in ["password", "data[Profile][password]", "data", "data[Login]", "data[]"] {
            assert!(!field.matches(other), "{other}");
        }
        let plain = CredentialField::new("user_name", false);
        for variant in
            ["user_name", "user.name", "user name", "user_name[]", "\tuser_name", "user[name"]
        {
            assert!(plain.matches(variant), "{variant:?}");
        }
    }

    #[test]
    fn query_only_fields_are_free_in_bodies() {
        let fields = vec![CredentialField::new("key", true)];
        let credentials = Credentials { fields, exempt: PathSet::default() };
        assert!(credentials.hit("key", true));
        assert!(!credentials.hit("key", false));
    }
}
