//! The PBX's own session: its cookies, its polling, the signs that it has ended.

use super::judge::{Conditions, FirstResponse};
use super::paths::PathSet;

/// What the profile says about the PBX's session.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionSigns {
    pub(super) jar: Vec<String>,
    pub(super) dropped: Vec<CookiePattern>,
    /// Names that no client may send: the jar's, and of the dropped ones those without a star.
    pub(super) withheld: Vec<String>,
    pub(super) background: PathSet,
    /// Sign-outs that the portal's scripts ask for by themselves.
    pub(super) signed_out_by_script: Vec<String>,
    pub(super) expired: Vec<Conditions>,
}

/// The name of a cookie that is dropped, or the beginning of one (`"remember_web_*"`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CookiePattern(pub(super) String);

impl CookiePattern {
    pub(super) fn matches(&self, cookie: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => cookie.starts_with(prefix),
            None => self.0 == cookie,
        }
    }
}

impl SessionSigns {
    pub(super) fn expired(&self, status: u16, location: Option<&str>, body: Option<&[u8]>) -> bool {
        let location = location.map(without_origin);
        let first = FirstResponse {
            status,
            location,
            body: body.unwrap_or_default(),
            ..FirstResponse::default()
        };
        self.expired
            .iter()
            .filter(|sign| body.is_some() || sign.body.is_none())
            .any(|sign| sign.hold(&first))
    }

    pub(super) fn expiry_needs_body(&self) -> bool {
        self.expired.iter().any(|sign| sign.body.is_some())
    }
}

/// The path and query of an absolute http(s) URL; anything else as it is. A PBX often names itself
/// in redirects by a name of its own.
fn without_origin(location: &str) -> &str {
    let rest =
        ["http://", "https://", "//"].iter().find_map(|scheme| location.strip_prefix(scheme));
    match rest {
        Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => location,
    }
}

#[cfg(test)]
mod tests {
    use crate::profile::Profile;

    /// R-C7: the PBX's own session end is recognised; ordinary answers are not.
    #[test]
    fn signs_of_an_ended_session() {
        let profile =
            Profile::parse(Profile::builtin("netsapiens").unwrap(), "netsapiens.toml").unwrap();
        assert!(profile.session_expired(401, None));
        for location in [
            "/portal/login",
            "/portal/login/index",
            "http://pbx.example/portal/login?x=1",
            "https://pbx.example:8443/portal/login",
        ] {
            assert!(profile.session_expired(302, Some(location)), "{location}");
        }
        for location in ["/portal/home", "/portal/loginhistory", "https://pbx.example"] {
            assert!(!profile.session_expired(302, Some(location)), "{location}");
        }
        assert!(!profile.session_expired(200, None));
        assert!(!profile.session_expired(403, None));
    }

    /// The session cookies go into the jar; remember-me cookies go nowhere.
    #[test]
    fn cookies_are_told_apart() {
        let profile =
            Profile::parse(Profile::builtin("netsapiens").unwrap(), "netsapiens.toml").unwrap();
        assert!(profile.keeps_in_jar("PHPSESSID") && profile.keeps_in_jar("CAKEPHP"));
        assert!(!profile.keeps_in_jar("lang") && !profile.keeps_in_jar("phpsessid"));
        assert!(profile.drops_cookie("CakeCookie[Auth]") && !profile.drops_cookie("PHPSESSID"));
        assert!(profile.jar_cookies().iter().any(|name| name == "CakeCookie"));
        assert!(!profile.jar_cookies().iter().any(|name| name.contains('*')));
        assert!(profile.is_background("/portal/home/checkSession"));
        assert!(!profile.is_background("/portal/home"));
        assert!(profile.signs_out_by_script("/portal/login/logout/expired"));
        assert!(!profile.signs_out_by_script("/portal/login/logout"));
    }
}
