//! Passgate's own pages: sign-in, account security, the set-password page of the force phase, the
//! current PIN, sign-out, and every error page. An axum router that the gateway mounts under
//! `pages.prefix`; it speaks `http` types only and knows nothing of the proxy around it. The
//! administration API ([`admin`]) is a router of its own.

mod accent;
pub mod admin;
mod answers;
mod assets;
mod brand;
pub mod cookies;
mod csrf;
mod device;
pub mod flash;
mod form;
pub mod kept_form;
pub mod letters;
mod look;
pub mod next_page;
pub mod notice;
mod oauth;
mod overrides;
mod own_pages;
mod pages;
#[cfg(test)]
#[cfg(feature = "demo")]
mod tests;
mod texts;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::domain::login_name::LoginName;
use crate::domain::session::{LiveSession, Standing};

pub use accent::Accent;
pub use answers::{ErrorKind, ErrorPages};
pub use brand::{Brand, Brands, Logo};
pub use oauth::OAuthSettings;
pub use overrides::Overrides;
pub use own_pages::{Audience, Face, OwnPages};

/// What the configuration says about the pages.
#[derive(Debug, Clone)]
pub struct PagesSettings {
    /// Where the pages live (`pages.prefix`): begins with a slash, ends without one.
    pub prefix: String,
    /// The portal's home (`session.home` or the profile's), a path.
    pub home: String,
    /// The portal's own login page (profile), a path: where people land who signed out.
    pub login_page: String,
    /// In which dates are shown (`rollout.time_zone`).
    pub time_zone: TimeZone,
    /// The same of tenants with their own.
    pub tenant_time_zones: HashMap<String, TimeZone>,
    /// E-mail is on: who forgot a portal password or a login name can be helped by a page.
    pub sends_mail: bool,
    /// Every page of the portal has a link to account security, where the profile knows a place for
    /// it (`pages.security_link`).
    pub security_link: bool,
    /// So long before a session ends by itself its pages say so (`session.warning`); `None`: not at
    /// all.
    pub session_warning: Option<Duration>,
    /// Where the portal password is used (`rollout.affected`), by name.
    pub affected: Vec<String>,
    /// What applications are told about tokens.
    pub oauth: OAuthSettings,
}

/// Who asks: put into the request's extensions by the gateway. The request keeps its `Cookie`
/// header; forms and messages have cookies of their own there.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Client address.
    pub client: IpAddr,
    /// The client's `User-Agent`; empty if it sent none.
    pub user_agent: String,
    /// Public host name of the request, without port.
    pub host: String,
    /// The session of the session cookie, if it lives.
    pub session: Option<Arc<LiveSession>>,
    /// What that session may reach now.
    pub standing: Option<Standing>,
    /// Value of the device cookie, unopened.
    pub device: Option<String>,
    /// Whether a script asks (XHR, fetch): it gets JSON and never a redirect to a page.
    pub wants_json: bool,
}

/// From what was typed, and the host, to a login name.
pub type ReadLogin = Arc<dyn Fn(&str, &str) -> Option<LoginName> + Send + Sync>;

/// From a host to the tenant that it names.
pub type TenantOf = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Reads login names: the profile's part.
#[derive(Clone)]
pub struct LoginNames {
    /// What a user typed, on a host (which may name the tenant).
    pub read: ReadLogin,
    /// The tenant that a host names, if it names one.
    pub tenant_of: TenantOf,
}

/// Waiting times are shown in minutes, rounded up.
fn minutes(wait: Duration) -> u64 {
    wait.as_secs().div_ceil(60).max(1)
}
