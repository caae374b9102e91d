//! What the pipeline knows of one request while it passes through.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::api_refusal::ApiRefusal;
use super::client_kind::ClientKind;
use super::credential_scan::BodyScan;
use super::gate::Admitted;
use super::held::HeldBody;
use super::limit::Quota;
use super::listeners::{BodyWatch, ConnectionHandle};
use super::machine::MachineClient;
use super::notice::Injector;
use super::redaction::Redactor;
use super::validators::Mark;
use crate::domain::jar::Jar;
use crate::domain::kept_form::KeptForm;
use crate::domain::session::{JarState, LiveSession};
use crate::profile::Redaction;
use crate::telemetry::metrics::Route as RouteLabel;

/// One request and its answer.
pub struct Exchange {
    /// When its header had arrived.
    pub(super) began: Instant,
    /// Tells it from all others of this process; see [`super::answer::request_id`].
    pub(super) number: u64,
    /// The connection it came on.
    pub(super) connection: Option<ConnectionHandle>,
    /// The client's address: behind trusted proxies the one they report.
    pub(super) client: IpAddr,
    /// Who sent it: a browser that navigates, a script, an API client.
    pub(super) kind: ClientKind,
    /// Its route, for metrics and access log.
    pub(super) label: RouteLabel,
    /// What is left of the tightest rate limit that it was counted by.
    pub(super) quota: Option<Quota>,
    /// The machine client that it is let in as, with no session.
    pub(super) machine: Option<Arc<MachineClient>>,
    /// Its session, if it has one; on the API, the family of tokens that it is sent on with.
    pub(super) admitted: Option<Admitted>,
    /// The family that its token belongs to, before it is let through.
    pub(super) family: Option<Admitted>,
    /// It passes with a token that is not known here, and not after this moment (R-F6).
    pub(super) passes_until: Option<Timestamp>,
    /// Why it is refused after all, on the API.
    pub(super) refusal: Option<ApiRefusal>,
    /// The jar it is sent to the PBX with.
    pub(super) jar: Option<Arc<JarState>>,
    /// The anonymous PBX session of a visitor who is not signed in.
    pub(super) visitor: Option<Jar>,
    /// The PBX server it goes to.
    pub(super) server: usize,
    /// What is put into the page that answers it.
    pub(super) insertion: Option<Insertion>,
    /// The rewriting, once the answer turned out to be a page. The lock is never contended: it
    /// makes shareable what Pingora wants to be so.
    pub(super) injector: Option<Mutex<Injector>>,
    /// What its answer does not show to users. A machine client gets the whole answer.
    pub(super) redacts: Option<Arc<Redaction>>,
    /// The reading of the answer, once it began.
    pub(super) redactor: Option<Mutex<Redactor>>,
    /// The look for credential fields in its body.
    pub(super) scan: Option<BodyScan>,
    /// The form that goes in place of its body: one that was sent too late (R-C4).
    pub(super) resent: Option<KeptForm>,
    /// Body held back until that look is over.
    pub(super) held: HeldBody,
    /// Watch over a body on h2.
    pub(super) body_watch: Option<BodyWatch>,
    /// A WebSocket's registration with its session.
    pub(super) watch: Option<Watch>,
    /// `Set-Cookie` values of ours for the answer.
    pub(super) set_cookies: Vec<HeaderValue>,
    /// The request is a step of the PBX's second question.
    pub(super) answers_challenge: bool,
    /// The answer is a stream of events, as long as the session reaches the portal.
    pub(super) streams_events: bool,
    /// The body of the PBX's answer stays here.
    pub(super) withholds_body: bool,
    /// It was counted as in flight.
    pub(super) in_flight: bool,
}

/// What is put into a page of the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Insertion {
    /// What is said at this moment: the page is whole, fresh, and kept by nobody.
    pub(super) said: Option<Said>,
    /// What stands in every page of a session, by its mark.
    pub(super) additions: Option<Mark>,
}

/// What is said at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// The warn notice, with the days that are left.
    Notice { days_left: Option<u32> },
    /// What was said about the last form, on the page that it led to.
    Message,
    /// The same on the login page, with the login name typed then; and the links for people who
    /// cannot sign in.
    LoginPage,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            number: 0,
            connection: None,
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            kind: ClientKind::Unstated,
            label: RouteLabel::Invalid,
            quota: None,
            machine: None,
            admitted: None,
            family: None,
            passes_until: None,
            refusal: None,
            jar: None,
            visitor: None,
            server: 0,
            insertion: None,
            injector: None,
            redacts: None,
            redactor: None,
            scan: None,
            resent: None,
            held: HeldBody::default(),
            body_watch: None,
            watch: None,
            set_cookies: Vec::new(),
            answers_challenge: false,
            streams_events: false,
            withholds_body: false,
            in_flight: false,
        }
    }
}

impl Exchange {
    /// Whether the answer is for a person's eyes: pages and redirects. Scripts and API clients
    /// get problem details instead.
    pub(super) fn wants_page(&self) -> bool {
        matches!(self.kind, ClientKind::Navigation | ClientKind::Unstated)
    }

    /// Whether it came without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.connection.as_ref().is_some_and(ConnectionHandle::is_plain)
    }

    /// The session, whatever it may reach.
    pub(super) fn session(&self) -> Option<&Arc<LiveSession>> {
        self.admitted.as_ref().map(|admitted| &admitted.session)
    }
}

/// An open WebSocket among its session's; taken back when the tunnel ends.
pub(super) struct Watch {
    session: Arc<LiveSession>,
    number: u64,
}

impl Watch {
    /// Lets the end of `session` close `connection`.
    pub(super) fn new(session: &Arc<LiveSession>, connection: &ConnectionHandle) -> Self {
        let number = session.watch(connection.kill_switch());
        Self { session: Arc::clone(session), number }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.session.unwatch(self.number);
    }
}
