//! What a path is: the profile's part of the route table.

use super::login::LoginEndpoint;
use super::paths::{PathSet, begins_in_any_case};
use super::token::TokenEndpoint;

/// What a request's path means to the portal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PathClass<'a> {
    /// The portal's login page, asked for by GET or HEAD.
    LoginPage,
    /// A login.
    LoginPost(&'a LoginEndpoint),
    /// The portal's own sign-out.
    SignOut,
    /// An endpoint that hands out tokens.
    Token(&'a TokenEndpoint),
    /// The PBX's API.
    Api,
    /// Static files and the like: without a session, by GET or HEAD.
    Public,
    /// May be posted without a session (language choice), without credential fields.
    PreLogin,
    /// A step of the PBX's own second question.
    Challenge,
    /// Refused for everybody: the portal's own password code, variants of login paths.
    Denied,
    /// Everything else: only with a session.
    Portal,
}

/// How tokens are handed out (R-F3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenMode {
    /// A JWT of our own.
    #[default]
    Jwt,
    /// The PBX's own token.
    Pass,
}

/// Which origins may call the API from a browser.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CorsPolicy {
    /// Origins, spelled as browsers send them; `*` for all.
    pub origins: Vec<String>,
    /// Methods for `Access-Control-Allow-Methods`.
    pub methods: Vec<String>,
    /// Request headers for `Access-Control-Allow-Headers`.
    pub headers: Vec<String>,
    /// How long a browser may keep a preflight's answer, in seconds.
    pub max_age: u32,
    /// Whether pages of these origins may send and read with credentials of the browser.
    pub credentials: bool,
}

/// The profile's path sets.
#[derive(Debug, Clone, Default)]
pub(super) struct Exposure {
    pub(super) login_pages: Vec<String>,
    pub(super) guard: PathSet,
    pub(super) sign_outs: Vec<String>,
    pub(super) sign_out_methods: Vec<String>,
    pub(super) challenge: PathSet,
    pub(super) denied: PathSet,
    pub(super) tokens: Vec<TokenEndpoint>,
    pub(super) token_mode: TokenMode,
    pub(super) api: PathSet,
    pub(super) public: PathSet,
    pub(super) pre_login: PathSet,
    pub(super) websocket: PathSet,
    pub(super) cors: Option<CorsPolicy>,
}

impl Exposure {
    /// The order is the policy: what refuses or intercepts comes before what lets through, and
    /// ignores case; what lets through does not.
    pub(super) fn classify<'a>(
        &'a self,
        logins: &'a [LoginEndpoint],
        method: &str,
        path: &str,
    ) -> PathClass<'a> {
        let reads = matches!(method, "GET" | "HEAD");
        if self.denied.contains_in_any_case(path) {
            return PathClass::Denied;
        }
        if let Some(token) = self.token_at(path) {
            return PathClass::Token(token);
        }
        if let Some(login) = logins.iter().find(|login| login.answers_to(method, path)) {
            return PathClass::LoginPost(login);
        }
        if reads && self.login_pages.iter().any(|page| page == path) {
            return PathClass::LoginPage;
        }
        if self.sign_outs.iter().any(|sign_out| sign_out == path) {
            let known = self.sign_out_methods.iter().any(|known| known == method);
            return if known { PathClass::SignOut } else { PathClass::Denied };
        }
        if self.challenge.contains(path) {
            return PathClass::Challenge;
        }
        if self.is_variant(logins, path) {
            return PathClass::Denied;
        }
        if !reads && self.pre_login.contains(path) {
            PathClass::PreLogin
        } else if reads && self.public.contains(path) {
            PathClass::Public
        } else if self.api.contains(path) {
            PathClass::Api
        } else {
            PathClass::Portal
        }
    }

    /// Whether a path that is no exact login path might reach the same code of the PBX: another
    /// case, more behind it (`/login/`, `/login.php`, `/login/index`), or what the profile guards.
    fn is_variant(&self, logins: &[LoginEndpoint], path: &str) -> bool {
        let guarded = |known: &str| {
            known.eq_ignore_ascii_case(path) || known != "/" && begins_in_any_case(path, known)
        };
        self.guard.contains_in_any_case(path)
            || logins.iter().flat_map(LoginEndpoint::paths).any(&guarded)
            || self.login_pages.iter().any(|known| guarded(known))
            || self.tokens.iter().flat_map(TokenEndpoint::paths).any(&guarded)
            || self.api.contains_in_any_case(path) && !self.api.contains(path)
            || self.challenge.contains_in_any_case(path)
            || self.sign_outs.iter().any(|known| known.eq_ignore_ascii_case(path))
    }

    fn token_at(&self, path: &str) -> Option<&TokenEndpoint> {
        self.tokens.iter().find(|token| token.paths().any(|known| known == path))
    }

    pub(super) fn allowed_cors(&self, path: &str, origin: &str) -> Option<&CorsPolicy> {
        let inside = self.api.contains(path) || self.token_at(path).is_some();
        let policy = self.cors.as_ref().filter(|_| inside)?;
        policy.origins.iter().any(|known| known == "*" || known == origin).then_some(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn profile(name: &str) -> Profile {
        Profile::parse(Profile::builtin(name).unwrap(), name).unwrap()
    }

    fn class(profile: &Profile, method: &str, path: &str) -> &'static str {
        match profile.classify(method, path) {
            PathClass::LoginPage => "page",
            PathClass::LoginPost(_) => "login",
            PathClass::SignOut => "sign-out",
            PathClass::Token(_) => "token",
            PathClass::Api => "api",
            PathClass::Public => "public",
            PathClass::PreLogin => "pre-login",
            PathClass::Challenge => "challenge",
            PathClass::Denied => "denied",
            PathClass::Portal => "portal",
        }
    }

    /// security.md, bypass by path: a variant of a login path is never something harmless.
    #[test]
    fn netsapiens_paths() {
        let profile = profile("netsapiens");
        for (method, path, expected) in [
            ("GET", "/portal/login", "page"),
            ("HEAD", "/portal/login/index", "page"),
            ("POST", "/portal/login", "login"),
            ("POST", "/portal/login/index", "login"),
            ("PUT", "/portal/login", "denied"),
            ("post", "/portal/login", "denied"),
            ("DELETE", "/portal/login/index", "denied"),
            ("POST", "/portal/login/", "denied"),
            ("GET", "/portal/login/", "denied"),
            ("POST", "/portal/Login", "denied"),
            ("POST", "/PORTAL/LOGIN/INDEX", "denied"),
            ("POST", "/portal/login.php", "denied"),
            ("POST", "/portal/login;x", "denied"),
            ("POST", "/portal/login/index/1", "denied"),
            ("POST", "/portal/login ", "denied"),
            ("POST", "/portal/login.", "denied"),
            ("POST", "/portal/index.php/login", "denied"),
            ("POST", "/portal/index.php", "denied"),
            ("POST", "/portal/INDEX.php/Login/index", "denied"),
            ("POST", "/portal/app/webroot/index.php/login", "denied"),
            ("GET", "/portal/login/logout", "sign-out"),
            ("POST", "/portal/login/logout/expired", "sign-out"),
            ("PUT", "/portal/login/logout", "denied"),
            ("GET", "/portal/login/LOGOUT", "denied"),
            ("GET", "/portal/login/mfa/1", "challenge"),
            ("POST", "/portal/login/mfaSubmit/", "challenge"),
            ("POST", "/portal/login/mfasubmit/", "denied"),
            ("POST", "/portal/login/ssoEnroll/x", "denied"),
            ("GET", "/portal/resets/forgot", "denied"),
            ("GET", "/Portal/Resets/forgot", "denied"),
            ("POST", "/portal/users/checkPassword", "denied"),
            ("POST", "/portal/users/checkpassword/1", "denied"),
            ("POST", "/ns-api/oauth2/token", "token"),
            ("POST", "/ns-api/oauth2/token/", "token"),
            ("GET", "/ns-api/oauth2/netsapiensJs", "token"),
            ("POST", "/ns-api/v2/tokens", "token"),
            ("DELETE", "/ns-api/v2/jwt", "token"),
            ("POST", "/NS-API/oauth2/token", "denied"),
            ("POST", "/index.php/ns-api/oauth2/token", "denied"),
            ("POST", "/ns-api/index.php/oauth2/token", "denied"),
            ("GET", "/NS-API/", "denied"),
            ("GET", "/Ns-Api", "denied"),
            ("POST", "/ns-api/OAuth2/token", "denied"),
            ("GET", "/ns-api/", "api"),
            ("GET", "/ns-api/v2/domains/~/users/~", "api"),
            ("GET", "/portal/css/main.css", "public"),
            ("POST", "/portal/css/main.css", "portal"),
            ("GET", "/favicon.ico", "public"),
            ("GET", "/portal/home", "portal"),
            ("GET", "/", "portal"),
            ("GET", "/portal/users", "portal"),
        ] {
            assert_eq!(class(&profile, method, path), expected, "{method} {path:?}");
        }
    }

    /// The same for FusionPBX, whose login page lies beside other scripts.
    #[test]
    fn fusionpbx_paths() {
        let profile = profile("fusionpbx");
        for (method, path, expected) in [
            ("GET", "/login.php", "page"),
            ("POST", "/login.php", "login"),
            ("POST", "/login.php/", "denied"),
            ("POST", "/LOGIN.php", "denied"),
            ("GET", "/logout.php", "sign-out"),
            ("GET", "/resources/login.php", "denied"),
            ("GET", "/themes/default/css.php", "public"),
            ("GET", "/core/dashboard/", "portal"),
        ] {
            assert_eq!(class(&profile, method, path), expected, "{method} {path:?}");
        }
    }

    /// Every built-in profile, any path: nothing that begins like its login page is let through.
    #[test]
    fn nothing_that_begins_like_a_login_is_let_through() {
        for name in Profile::builtin_names() {
            let profile = profile(name);
            for path in [profile.login_page(), profile.primary_login().paths().next().unwrap()] {
                for tail in ["/", "/x", ".php", "x", "%20", ";a=b", "/..", "?"] {
                    for variant in [format!("{path}{tail}"), format!("{path}{tail}").to_uppercase()]
                    {
                        for method in ["GET", "POST", "PUT", "PROPFIND"] {
                            let class = class(&profile, method, &variant);
                            let let_through = ["portal", "public", "api", "pre-login"];
                            assert!(!let_through.contains(&class), "{name} {method} {variant}");
                        }
                    }
                }
            }
        }
    }
}
