//! The portal profile: what Passgate must know about one kind of PBX portal, as checked types and
//! pure predicates.
//!
//! A profile is a TOML file (`profiles/*.toml`; its keys are explained in `profiles/netsapiens.toml`).
//! [`Profile::parse`] checks all of it at once; afterwards nothing can fail any more. Whoever asks
//! about a path passes the one canonical path of the request, without its query.

mod answers;
mod builtin;
mod check;
mod credentials;
mod exposure;
mod judge;
mod login;
mod login_names;
mod pages;
mod paths;
mod problems;
mod raw;
mod redaction;
mod request_body;
mod session;
mod subscriber;
mod token;

pub use answers::{AnswerKind, AnswerTemplate};
pub use credentials::CredentialField;
pub use exposure::{CorsPolicy, PathClass, TokenMode};
pub use judge::{FirstResponse, Judgement};
pub use login::{Carrier, Csrf, HiddenFields, LoginEndpoint, LoginRequest, ReadLogin};
pub use login_names::LoginNameProblem;
pub use pages::PortalPages;
pub use paths::PathSet;
pub use problems::{ProfileProblem, ProfileProblems};
pub use redaction::{At, LONGEST_NAME, Redaction, Sight};
pub use request_body::BadShape;
pub use subscriber::{ApiCall, Filling, OwnPage, PinRead, PinWrite, Subscriber, WriteJudgement};
pub use token::{
    AskedGrant, BadTokenCall, FoundOwner, FoundTokens, ReadToken, Shown, TokenAsk, TokenCall,
    TokenEndpoint, TokenJudgement, WhoAmI,
};

use std::sync::Arc;

use regex::Regex;

use crate::domain::login_name::LoginName;

/// One kind of portal, completely checked.
#[derive(Debug, Clone)]
pub struct Profile {
    name: String,
    logins: Vec<LoginEndpoint>,
    names: login_names::LoginNames,
    legacy_secret: Regex,
    session: session::SessionSigns,
    exposure: exposure::Exposure,
    credentials: credentials::Credentials,
    pages: PortalPages,
    subscriber: Subscriber,
    who_am_i: Vec<WhoAmI>,
    redactions: Vec<Arc<Redaction>>,
}

impl Profile {
    /// The text of a built-in profile.
    pub fn builtin(name: &str) -> Option<&'static str> {
        builtin::text(name)
    }

    /// The names of the built-in profiles.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        builtin::names()
    }

    /// Reads and checks a profile. `file` is only named in the problems, which are reported all
    /// together, each with its line and, where there is one, a hint.
    pub fn parse(text: &str, file: &str) -> Result<Self, ProfileProblems> {
        check::parse(text, file)
    }

    /// The profile's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a request for `path` (canonical, without query) is. Anything that looks like a
    /// variant of a login path but is not the exact one is [`PathClass::Denied`].
    pub fn classify(&self, method: &str, path: &str) -> PathClass<'_> {
        self.exposure.classify(&self.logins, method, path)
    }

    /// The portal's login endpoints, the one that Passgate itself logs in by first.
    pub fn login_endpoints(&self) -> &[LoginEndpoint] {
        &self.logins
    }

    /// The endpoint by which Passgate itself logs in at the PBX.
    pub fn primary_login(&self) -> &LoginEndpoint {
        &self.logins[0]
    }

    /// Reads a typed login name by the profile's patterns (R-C2). `host_tenant` is the tenant that
    /// the request's host or a field of the form names; with it the bare extension is enough.
    pub fn login_name(
        &self,
        typed: &str,
        host_tenant: Option<&str>,
    ) -> Result<LoginName, LoginNameProblem> {
        self.names.read(typed, host_tenant)
    }

    /// The tenant that a host name (without port) stands for, where the profile says so.
    pub fn tenant_of_host(&self, host: &str) -> Option<String> {
        self.names.tenant_of_host(host)
    }

    /// The login name as the PBX's form wants it.
    pub fn upstream_login_name(&self, login: &LoginName) -> String {
        self.names.upstream(login)
    }

    /// Whether a secret could be a legacy credential. What could not is never sent to the PBX
    /// (R-B5).
    pub fn looks_like_pin(&self, secret: &str) -> bool {
        self.legacy_secret.is_match(secret)
    }

    /// Whether requests for this path are polling, not interaction (R-C4).
    pub fn is_background(&self, path: &str) -> bool {
        self.session.background.contains(path)
    }

    /// Whether the portal's scripts sign out at this path by themselves, when they believe that the
    /// session is over.
    pub fn signs_out_by_script(&self, path: &str) -> bool {
        self.session.signed_out_by_script.iter().any(|known| known == path)
    }

    /// Whether a cookie of the PBX belongs in the jar and never in the browser.
    pub fn keeps_in_jar(&self, cookie: &str) -> bool {
        self.session.jar.iter().any(|name| name == cookie)
    }

    /// The names that a client may not send to the PBX: the jar's, and those of remember-me
    /// cookies.
    pub fn jar_cookies(&self) -> &[String] {
        &self.session.withheld
    }

    /// Whether a cookie of the PBX is thrown away: remember-me cookies would log in around
    /// Passgate.
    pub fn drops_cookie(&self, cookie: &str) -> bool {
        self.session.dropped.iter().any(|pattern| pattern.matches(cookie))
    }

    /// Whether an answer to a request of a live session says that the PBX's own session has ended
    /// (R-C7). `location` as the PBX sent it.
    pub fn session_expired(&self, status: u16, location: Option<&str>) -> bool {
        self.session.expired(status, location, None)
    }

    /// As [`Self::session_expired`], for portals that answer an ended session with 200 and the
    /// login form: `body` is the first part of an HTML answer (64 KiB are enough).
    pub fn session_expired_with_body(
        &self,
        status: u16,
        location: Option<&str>,
        body: &[u8],
    ) -> bool {
        self.session.expired(status, location, Some(body))
    }

    /// Whether some sign of an ended session is in the body, so that bodies must be looked at.
    pub fn expiry_needs_body(&self) -> bool {
        self.session.expiry_needs_body()
    }

    /// Judges the PBX's **first** answer to a login (a followed redirect proves nothing) or to a
    /// step of its challenge. What no predicate matches is [`Judgement::Unknown`].
    pub fn judge(&self, endpoint: &LoginEndpoint, first: &FirstResponse<'_>) -> Judgement {
        endpoint.judge(first)
    }

    /// Reads a login request by the endpoint's shape; every other shape is refused.
    pub fn read_login(
        &self,
        endpoint: &LoginEndpoint,
        request: &LoginRequest<'_>,
    ) -> Result<ReadLogin, BadShape> {
        endpoint.read(request)
    }

    /// The fields that carry credentials: outside the login endpoints they are refused.
    pub fn credential_fields(&self) -> &[CredentialField] {
        &self.credentials.fields
    }

    /// Whether a decoded parameter name, as PHP and its like would understand it, is one of the
    /// credential fields. `in_query` tells a parameter of the query from a field of the body.
    pub fn carries_credential(&self, name: &str, in_query: bool) -> bool {
        self.credentials.hit(name, in_query)
    }

    /// Whether forms at this path may hold fields named like credentials (user administration).
    pub fn scan_exempt(&self, path: &str) -> bool {
        self.credentials.exempt.contains(path)
    }

    /// Path and query of the portal's home.
    pub fn home(&self) -> &str {
        &self.pages.home
    }

    /// Path of the portal's login page.
    pub fn login_page(&self) -> &str {
        &self.exposure.login_pages[0]
    }

    /// Path at which the PBX ends its own session.
    pub fn sign_out_path(&self) -> &str {
        &self.exposure.sign_outs[0]
    }

    /// Method by which the PBX ends its own session.
    pub fn sign_out_method(&self) -> &str {
        &self.exposure.sign_out_methods[0]
    }

    /// Where in the portal's pages Passgate adds something.
    pub fn pages(&self) -> &PortalPages {
        &self.pages
    }

    /// How voicemail PINs are read and written in the PBX's own records.
    pub fn subscriber(&self) -> &Subscriber {
        &self.subscriber
    }

    /// Whether WebSockets may be opened at this path, inside a session and from our own origin.
    pub fn allows_websocket(&self, path: &str) -> bool {
        self.exposure.websocket.contains(path)
    }

    /// The CORS policy of the API for a page of `origin`; `None`: no other origin may call it.
    pub fn allowed_cors(&self, path: &str, origin: &str) -> Option<&CorsPolicy> {
        self.exposure.allowed_cors(path, origin)
    }

    /// The PBX's token endpoints.
    pub fn token_endpoints(&self) -> impl Iterator<Item = &TokenEndpoint> {
        self.exposure.tokens.iter()
    }

    /// The PBX's token endpoint of this name.
    pub fn token_endpoint(&self, name: &str) -> Option<&TokenEndpoint> {
        self.exposure.tokens.iter().find(|token| token.name == name)
    }

    /// How the PBX is asked whose a bearer token is, in the order in which the ways are tried.
    pub fn who_am_i(&self) -> &[WhoAmI] {
        &self.who_am_i
    }

    /// The account that an answer of the PBX names; `None`: no name that could be one.
    pub fn owner(&self, found: &FoundOwner) -> Option<LoginName> {
        match found {
            FoundOwner::Parts { user, tenant } => LoginName::new(user, tenant).ok(),
            FoundOwner::Login(login) => self.login_name(login, None).ok(),
        }
    }

    /// What users do not get to see in answers to requests for this path; the first section that
    /// covers it counts.
    pub fn redaction(&self, path: &str) -> Option<&Arc<Redaction>> {
        self.redactions.iter().find(|redaction| redaction.covers(path))
    }

    /// How tokens are handed out unless the configuration says otherwise (R-F3).
    pub fn token_mode(&self) -> TokenMode {
        self.exposure.token_mode
    }
}
