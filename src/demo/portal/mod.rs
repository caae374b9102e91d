//! The example legacy portal: a PBX web portal and API of the kind Passgate is put in front of.
//!
//! It is a stage set for the real thing. It knows nothing of Passgate, imports nothing from it, and
//! is as careless as the portals it stands for: it takes credentials from almost anywhere (see
//! `fields` and `paths`), so that a proxy that is careless, too, really lets somebody past with
//! a PIN. Everything that reaches it is recorded, and it can be told to fail; the demo and the
//! integration tests rely on both.

mod answer;
mod api;
mod api_tokens;
mod api_users;
mod controls;
mod fields;
mod login;
mod multipart;
mod pages;
mod paths;
mod record;
mod render;
mod server;
mod sessions;
mod streams;
mod tokens;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use controls::{Failure, Faults};
pub use record::{LoginAttempt, LoginResult, RecordedRequest};
pub use users::{
    ABC_COMPANY, API_CLIENT, API_OPERATOR, MFA_CODE, PortalUser, WICKED_SPROCKETS, demo_users,
};

use record::Record;
use render::Views;
use sessions::Sessions;
use tokens::Tokens;
use users::Directory;

/// How a refused login is answered; real portals do either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureShape {
    /// `302` back to the login page, where the message is shown.
    Redirect302,
    /// `200` with the login form again.
    FormAgain200,
}

/// How this portal is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// The users it knows; tenants come from them.
    pub users: Vec<PortalUser>,
    /// API clients (`client_id`, `client_secret`) that may ask for tokens.
    pub api_clients: Vec<(String, String)>,
    /// Name of the session cookie: `PHPSESSID` or `CAKEPHP` on such portals.
    pub session_cookie: String,
    /// Whether a login is answered with a new session id. Old installations keep the old one.
    pub rotate_session_on_login: bool,
    /// Whether text answers are compressed when `Accept-Encoding` asks for gzip.
    pub gzip: bool,
    /// How a refused login is answered.
    pub failure_shape: FailureShape,
    /// Whether pages carry a Content-Security-Policy without `unsafe-inline`.
    pub strict_csp: bool,
    /// A further name by which the portal calls itself in `/portal/redirect/alias`.
    pub alias: String,
    /// How often its pages ask `/portal/home/checkSession`.
    pub poll_every: Duration,
    /// How often the WebSocket and the event stream tick.
    pub tick_every: Duration,
    /// Lifetime of an API access token.
    pub token_life: Duration,
    /// Whether requests are recorded (off for load tests).
    pub recording: bool,
    /// Whether the control paths under `/__portal/` answer.
    pub controls: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            users: demo_users(),
            api_clients: vec![(API_CLIENT.0.into(), API_CLIENT.1.into())],
            session_cookie: "PHPSESSID".into(),
            rotate_session_on_login: true,
            gzip: true,
            failure_shape: FailureShape::Redirect302,
            strict_csp: false,
            alias: "http://pbx.internal.example:9080".into(),
            poll_every: Duration::from_secs(15),
            tick_every: Duration::from_secs(3),
            token_life: Duration::from_secs(3600),
            recording: true,
            controls: false,
        }
    }
}

/// A running example portal. Dropping it stops it.
pub struct LegacyPortal {
    state: Arc<State>,
    tasks: TaskTracker,
}

impl LegacyPortal {
    /// Serves the portal on `listener`, in tasks of the current tokio runtime.
    #[allow(clippy::expect_used, reason = "a listener that is bound has an address")]
    pub async fn start(listener: TcpListener, options: Options) -> Self {
        let addr = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::new(State {
            addr,
            users: Directory::new(&options.users),
            sessions: Sessions::default(),
            tokens: Tokens::default(),
            record: Record::new(options.recording),
            faults: Faults::default(),
            views: Views::built_in(),
            stop: CancellationToken::new(),
            options,
        });
        let tasks = TaskTracker::new();
        tasks.spawn(server::accept(listener, Arc::clone(&state), tasks.clone()));
        Self { state, tasks }
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.state.addr
    }

    /// Its own base URL, without a slash at the end.
    pub fn url(&self) -> String {
        self.state.own_url()
    }

    /// Every request that reached it, oldest first (the latest 10,000, bodies up to 64 KiB).
    pub fn record(&self) -> Vec<RecordedRequest> {
        self.state.record.requests()
    }

    /// Every credential that was tried on it, in whatever shape, oldest first.
    pub fn login_attempts(&self) -> Vec<LoginAttempt> {
        self.record().into_iter().flat_map(|request| request.logins).collect()
    }

    /// Forgets the record.
    pub fn clear_record(&self) {
        self.state.record.clear();
    }

    /// Changes a user's PIN behind everybody's back, as a manager at the PBX would. `false`: no such
    /// user.
    pub fn set_pin(&self, login: &str, pin: &str) -> bool {
        self.state.users.change(login, |user| user.pin = pin.to_owned())
    }

    /// A user as the PBX knows it now.
    pub fn user(&self, login: &str) -> Option<PortalUser> {
        self.state.users.find(login)
    }

    /// Turns the second factor of a user on or off. `false`: no such user.
    pub fn require_mfa(&self, login: &str, required: bool) -> bool {
        self.state.users.change(login, |user| user.mfa = required)
    }

    /// Lets every request fail in this way until told otherwise.
    pub fn fail_with(&self, failure: Failure) {
        self.state.faults.set(None, "/", failure);
    }

    /// Lets requests whose path begins with `prefix` fail. The longest matching prefix counts.
    pub fn fail_on(&self, prefix: &str, failure: Failure) {
        self.state.faults.set(None, prefix, failure);
    }

    /// The same for one method only, so that reading a record works while writing it fails.
    pub fn fail_on_method(&self, method: &str, prefix: &str, failure: Failure) {
        self.state.faults.set(Some(method), prefix, failure);
    }

    /// Ends every portal session and API token, as a restart of the PBX would.
    pub fn expire_sessions(&self) {
        self.state.expire();
    }

    /// Number of portal sessions that are signed in.
    pub fn signed_in(&self) -> usize {
        self.state.sessions.signed_in()
    }

    /// Closes the listener and every connection, and waits for both.
    pub async fn stop(self) {
        self.state.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for LegacyPortal {
    fn drop(&mut self) {
        self.state.stop.cancel();
    }
}

/// What all connections of one portal share.
struct State {
    addr: SocketAddr,
    options: Options,
    users: Directory,
    sessions: Sessions,
    tokens: Tokens,
    record: Record,
    faults: Faults,
    views: Views,
    stop: CancellationToken,
}

impl State {
    fn own_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    fn expire(&self) {
        self.sessions.clear();
        self.tokens.clear();
    }
}

#[cfg(test)]
mod tests;
