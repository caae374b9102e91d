//! The one table of routes. Whatever is not in it does not exist; whatever is not public needs a
//! session (default deny).

use crate::profile::{LoginEndpoint, PathClass, Profile, TokenEndpoint};
use crate::telemetry::metrics::Route as RouteLabel;

/// What a request is, by its method and canonical path alone.
#[derive(Debug, Clone, Copy)]
pub enum Route<'a> {
    /// One of Passgate's own pages.
    OwnPage,
    /// `/.well-known/change-password`: leads to the account security page.
    ChangePassword,
    /// The portal's login page.
    LoginPage,
    /// A post of the portal's login form, or what its scripts use instead.
    Login(&'a LoginEndpoint),
    /// The portal's own sign-out.
    SignOut,
    /// The same, asked for by the portal's scripts, which believe that the session is over.
    SignOutByScript,
    /// A token endpoint of the PBX's API.
    Token(&'a TokenEndpoint),
    /// The PBX's API.
    Api,
    /// Style sheets, scripts and pictures that everybody may see.
    Public,
    /// What the login page needs before the login (language choice).
    PreLogin,
    /// The PBX's second question (its MFA).
    Challenge,
    /// Closed to everybody: it would let a PIN in around Passgate.
    Denied,
    /// Everything else of the portal: for those who are signed in.
    Portal,
}

impl Route<'_> {
    /// The route's name in metrics and access log.
    pub fn label(&self) -> RouteLabel {
        match self {
            Self::OwnPage | Self::ChangePassword => RouteLabel::OwnPage,
            Self::Login(_) => RouteLabel::Login,
            Self::SignOut | Self::SignOutByScript => RouteLabel::Logout,
            Self::Token(_) => RouteLabel::Token,
            Self::Api => RouteLabel::Api,
            Self::LoginPage | Self::Public | Self::PreLogin => RouteLabel::Public,
            Self::Challenge | Self::Denied | Self::Portal => RouteLabel::Portal,
        }
    }
}

/// What applications find without knowing our prefix (RFC 8414, RFC 8615).
const OAUTH_DOCUMENTS: [&str; 2] =
    ["/.well-known/oauth-authorization-server", "/.well-known/jwks.json"];

/// Finds the route of a canonical path. Own pages come first: no profile can take them over.
pub fn route<'a>(profile: &'a Profile, prefix: &str, method: &str, path: &str) -> Route<'a> {
    if let Some(rest) = path.strip_prefix(prefix)
        && (rest.is_empty() || rest.starts_with('/'))
    {
        return Route::OwnPage;
    }
    if path == "/.well-known/change-password" {
        return Route::ChangePassword;
    }
    if OAUTH_DOCUMENTS.contains(&path) {
        return Route::OwnPage;
    }
    match profile.classify(method, path) {
        PathClass::LoginPage => Route::LoginPage,
        PathClass::LoginPost(endpoint) => Route::Login(endpoint),
        PathClass::SignOut if profile.signs_out_by_script(path) => Route::SignOutByScript,
        PathClass::SignOut => Route::SignOut,
        PathClass::Token(endpoint) => Route::Token(endpoint),
        PathClass::Api => Route::Api,
        PathClass::Public => Route::Public,
        PathClass::PreLogin => Route::PreLogin,
        PathClass::Challenge => Route::Challenge,
        PathClass::Denied => Route::Denied,
        PathClass::Portal => Route::Portal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the NetSapiens-style portal (interfaces.md).
    #[test]
    fn routes_of_the_netsapiens_profile() {
        let text = Profile::builtin("netsapiens").unwrap();
        let profile = Profile::parse(text, "netsapiens.toml").unwrap();
        let found = |method, path| format!("{:?}", route(&profile, "/account", method, path));
        for (method, path, expected) in [
            ("GET", "/account/security", "OwnPage"),
            ("GET", "/account", "OwnPage"),
            ("GET", "/accounts", "Portal"),
            ("GET", "/portal/login", "LoginPage"),
            ("POST", "/portal/login", "Login("),
            ("GET", "/portal/login/logout", "SignOut"),
            ("GET", "/portal/login/logout/expired", "SignOutByScript"),
            ("POST", "/ns-api/oauth2/token", "Token("),
            ("GET", "/ns-api/", "Api"),
            ("GET", "/portal/css/main.css", "Public"),
            ("POST", "/portal/css/main.css", "Portal"),
            ("GET", "/portal/resets/x", "Denied"),
            ("PUT", "/portal/login", "Denied"),
            ("GET", "/portal/home", "Portal"),
            ("GET", "/.well-known/change-password", "ChangePassword"),
            ("GET", "/.well-known/oauth-authorization-server", "OwnPage"),
            ("GET", "/.well-known/jwks.json", "OwnPage"),
            ("GET", "/.well-known/jwks.jsonx", "Portal"),
            ("POST", "/account/oauth/revoke", "OwnPage"),
        ] {
            let found = found(method, path);
            // A variant that holds something goes on behind its bracket.
            let right = found == expected || expected.ends_with('(') && found.starts_with(expected);
            assert!(right, "{method} {path}: {found}");
        }
    }
}
