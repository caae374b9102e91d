//! Login names as people type them and as the PBX wants them (R-C2).

use regex::Regex;

use crate::domain::login_name::{LoginName, LoginNameError, fold};

/// Why a typed login name names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginNameProblem {
    /// No pattern of the profile fits.
    #[error("the login name does not have the form that this portal uses")]
    NoPattern,
    /// Only the extension was typed, and neither host nor form says which tenant.
    #[error("the login name does not say which tenant it belongs to")]
    TenantMissing,
    /// A part of it is unusable.
    #[error(transparent)]
    Unusable(#[from] LoginNameError),
}

/// The profile's patterns and templates.
#[derive(Debug, Clone)]
pub(super) struct LoginNames {
    /// Each with a group `extension` and, but for the bare extension, `tenant`.
    pub(super) patterns: Vec<Regex>,
    /// With a group `tenant`.
    pub(super) host: Option<Regex>,
    /// Holds `{extension}` and perhaps `{tenant}`.
    pub(super) upstream: String,
}

impl LoginNames {
    pub(super) fn read(
        &self,
        typed: &str,
        host_tenant: Option<&str>,
    ) -> Result<LoginName, LoginNameProblem> {
        let folded = fold(typed);
        let mut problem = LoginNameProblem::NoPattern;
        for captures in self.patterns.iter().filter_map(|pattern| pattern.captures(&folded)) {
            let Some(extension) = captures.name("extension") else { continue };
            let tenant = captures.name("tenant").map(|tenant| tenant.as_str());
            match tenant.or(host_tenant) {
                Some(tenant) => return Ok(LoginName::new(extension.as_str(), tenant)?),
                None => problem = LoginNameProblem::TenantMissing,
            }
        }
        Err(problem)
    }

    pub(super) fn tenant_of_host(&self, host: &str) -> Option<String> {
        let captures = self.host.as_ref()?.captures(host)?;
        captures.name("tenant").map(|tenant| fold(tenant.as_str()))
    }

    pub(super) fn upstream(&self, login: &LoginName) -> String {
        // The tenant first: an extension that held the text "{tenant}" must stay as it is.
        let mut parts = self.upstream.splitn(2, "{extension}");
        let before = parts.next().unwrap_or_default().replace("{tenant}", login.tenant());
        let after = parts.next().unwrap_or_default().replace("{tenant}", login.tenant());
        format!("{before}{}{after}", login.extension())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn netsapiens() -> Profile {
        Profile::parse(Profile::builtin("netsapiens").unwrap(), "netsapiens.toml").unwrap()
    }

    /// R-C2: both templates name the same account; case, space and width do not matter.
    #[test]
    fn spellings_of_one_name() {
        let profile = netsapiens();
        let name = LoginName::new("1001", "abc-company.11111.service").unwrap();
        for typed in [
            "1001@abc-company.11111.service",
            " 1001@ABC-Company.11111.Service ",
            "1001-abc-company.11111.service",
            "１００１＠abc-company.11111.service",
        ] {
            assert_eq!(profile.login_name(typed, None).as_ref(), Ok(&name), "{typed}");
        }
        assert_eq!(profile.upstream_login_name(&name), "1001@abc-company.11111.service");
        assert_eq!(profile.login_name("1001", Some("abc-company.11111.service")), Ok(name));
        let wicked = LoginName::new("201", "wickedsprockets").unwrap();
        assert_eq!(profile.login_name("201-wickedsprockets", None), Ok(wicked));
    }

    /// R-C2: what fits no template names nobody.
    #[test]
    fn other_names_name_nobody() {
        let profile = netsapiens();
        assert_eq!(profile.login_name("1001", None), Err(LoginNameProblem::TenantMissing));
        for typed in ["", "@", "bob@x", "1001@", "-x", "1001@a@b", "10 01@x", "1001-a@b"] {
            assert!(profile.login_name(typed, None).is_err(), "{typed}");
        }
    }
}
