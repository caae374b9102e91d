//! The demo's start page: what Passgate is, what to try, who can log in, and the clock.
//!
//! It has a plain listener of its own and knows Passgate only through [`DemoControls`].

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use minijinja::{Environment, Value, context};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::mailbox::{DemoMail, Mailbox, Piece, pieces};
use super::people::{SamplePerson, sample_people};
use super::portal::API_CLIENT;

/// Everything the pages show and do.
pub struct DemoSite {
    /// Where things listen.
    pub addresses: Addresses,
    /// Who can log in; usually [`sample_people`].
    pub people: Vec<SamplePerson>,
    /// The clock and the phases.
    pub controls: DemoControls,
    /// The mails sent so far.
    pub mailbox: Mailbox,
}

/// Base URLs (without a slash at the end) and other facts for the visitor.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    /// The portal through Passgate: what users would open.
    pub gateway: String,
    /// The example portal itself, with its control paths.
    pub portal: String,
    /// The admin listener.
    pub admin: String,
    /// SHA-256 of the self-made certificate, in hexadecimal digits and colons, to compare.
    pub certificate_sha256: Option<String>,
    /// The command line that lists the accounts.
    pub command: String,
}

/// A function that takes the demo's clock to a moment.
pub type SetClock = Box<dyn Fn(Timestamp) + Send + Sync>;

/// The clock that the whole demo runs by, and the phases on it.
pub struct DemoControls {
    /// The present moment of the demo.
    pub now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// Moves the clock, forward or back.
    pub set_clock: SetClock,
    /// The phase that runs now: `quiet`, `warn`, `force` or `reject`.
    pub phase: Box<dyn Fn() -> String + Send + Sync>,
    /// A moment in each phase to go to, with the phase's name, in order.
    pub steps: Vec<(String, Timestamp)>,
    /// The rollout's time zone.
    pub time_zone: TimeZone,
}

impl DemoSite {
    /// A site with the sample people and an empty mailbox.
    pub fn new(addresses: Addresses, controls: DemoControls) -> Self {
        Self { addresses, people: sample_people(), controls, mailbox: Mailbox::default() }
    }
}

/// Serves the pages on `listener` until `stop`.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    site: DemoSite,
    stop: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(site)).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// The pages as a service.
pub fn router(site: DemoSite) -> Router {
    let shared = Arc::new(Shared { site, views: views() });
    Router::new()
        .route("/", get(start))
        .route("/state", get(state))
        .route("/clock", post(move_clock))
        .route("/mail", get(mailbox))
        .route("/mail/{number}", get(mail))
        .route("/mail/{number}/html", get(mail_html))
        .route("/demo.css", get(async || asset("text/css; charset=utf-8", CSS)))
        .route("/icon.svg", get(async || asset("image/svg+xml", ICON)))
        .route("/demo.js", get(async || asset("text/javascript; charset=utf-8", JS)))
        .layer(middleware::from_fn(protect))
        .with_state(shared)
}

const CSS: &str = include_str!("assets/demo.css");
const ICON: &str = include_str!("assets/icon.svg");
const JS: &str = include_str!("assets/demo.js");

struct Shared {
    site: DemoSite,
    views: Environment<'static>,
}

#[allow(clippy::expect_used, reason = "the embedded templates parse: tests render each")]
fn views() -> Environment<'static> {
    let mut views = Environment::new();
    for (name, source) in [
        ("base.html", include_str!("templates/base.html")),
        ("start.html", include_str!("templates/start.html")),
        ("mailbox.html", include_str!("templates/mailbox.html")),
        ("mail.html", include_str!("templates/mail.html")),
    ] {
        views.add_template(name, source).expect("the embedded templates parse; tests render each");
    }
    views
}

impl Shared {
    fn page(&self, name: &str, values: Value) -> Response {
        let mails = self.site.mailbox.len();
        let values = context! { ..values, ..context! { mails } };
        match self.views.get_template(name).and_then(|template| template.render(values)) {
            Ok(page) => Html(page).into_response(),
            Err(error) => {
                tracing::error!(page = name, error = format!("{error:#}"), "page not rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    /// A moment as people write it, in the rollout's zone.
    fn written(&self, moment: Timestamp, format: &str) -> String {
        moment.to_zoned(self.site.controls.time_zone.clone()).strftime(format).to_string()
    }

    fn clock(&self) -> (String, String) {
        let now = (self.site.controls.now)();
        (self.written(now, "%A, %-d %B %Y"), self.written(now, "%H:%M:%S %Z"))
    }
}

async fn start(State(shared): State<Arc<Shared>>) -> Response {
    let DemoSite { addresses, people, controls, .. } = &shared.site;
    let phase = (controls.phase)();
    let (date, time) = shared.clock();
    let steps: Value = controls
        .steps
        .iter()
        .map(|(name, moment)| {
            let date = shared.written(*moment, "%-d %b %Y");
            context! { name, date, meaning => meaning(name), current => *name == phase }
        })
        .collect();
    let people: Value = people
        .iter()
        .map(|person| {
            context! {
                name => person.name.clone(),
                login => person.login.clone(),
                pin => person.pin.clone(),
                password => person.password(),
                email => person.email_on_file(),
                note => person.note,
                expect => person.expectation(&phase),
            }
        })
        .collect();
    let Addresses { gateway, portal, admin, certificate_sha256, command } = addresses.clone();
    let addresses = context! { gateway, portal, admin, certificate_sha256, command };
    let (id, secret) = API_CLIENT;
    let app = context! { id, secret };
    shared.page("start.html", context! { date, time, phase, steps, people, addresses, app })
}

fn meaning(phase: &str) -> &'static str {
    match phase {
        "quiet" => "nothing is said yet",
        "warn" => "a notice asks for a portal password",
        "force" => "no way in without a portal password",
        "reject" => "the PIN no longer opens the portal",
        _ => "",
    }
}

/// For the page's script: the clock, the phase, and how many mails there are.
async fn state(State(shared): State<Arc<Shared>>) -> Response {
    let (date, time) = shared.clock();
    let phase = (shared.site.controls.phase)();
    let mails = shared.site.mailbox.len();
    axum::Json(serde_json::json!({ "date": date, "time": time, "phase": phase, "mails": mails }))
        .into_response()
}

#[derive(Deserialize)]
struct Move {
    /// `quiet`, `warn`, `force`, `reject`, `+15m` or `+4h`.
    to: String,
}

async fn move_clock(State(shared): State<Arc<Shared>>, Form(asked): Form<Move>) -> Response {
    let controls = &shared.site.controls;
    let now = (controls.now)();
    let moment = match asked.to.as_str() {
        "+15m" => now.checked_add(SignedDuration::from_mins(15)).ok(),
        "+4h" => now.checked_add(SignedDuration::from_hours(4)).ok(),
        name => controls.steps.iter().find(|(step, _)| step == name).map(|(_, moment)| *moment),
    };
    let Some(moment) = moment else {
        return (StatusCode::BAD_REQUEST, "no such step").into_response();
    };
    (controls.set_clock)(moment);
    Redirect::to("/#clock").into_response()
}

async fn mailbox(State(shared): State<Arc<Shared>>) -> Response {
    let list: Value = shared
        .site
        .mailbox
        .list()
        .into_iter()
        .map(|(number, mail)| {
            let at = shared.written(mail.at, "%-d %b %Y, %H:%M");
            context! { number, at, from => mail.from, to => mail.to, subject => mail.subject }
        })
        .collect();
    shared.page("mailbox.html", context! { list })
}

async fn mail(State(shared): State<Arc<Shared>>, Path(number): Path<u64>) -> Response {
    let Some(mail) = shared.site.mailbox.mail(number) else {
        return (StatusCode::NOT_FOUND, "no such mail").into_response();
    };
    let DemoMail { from, to, subject, text, html, at } = mail;
    let at = shared.written(at, "%A, %-d %B %Y, %H:%M %Z");
    let text: Value = pieces(&text)
        .into_iter()
        .map(|piece| match piece {
            Piece::Words(words) => context! { words },
            Piece::Link(link) => context! { link },
        })
        .collect();
    let has_html = html.is_some();
    shared.page("mail.html", context! { number, from, to, subject, text, has_html, at })
}

/// The HTML part alone, for a frame that runs no script; its links open in a new tab.
async fn mail_html(State(shared): State<Arc<Shared>>, Path(number): Path<u64>) -> Response {
    let Some(html) = shared.site.mailbox.mail(number).and_then(|mail| mail.html) else {
        return (StatusCode::NOT_FOUND, "no such mail").into_response();
    };
    // Inside the head: before the doctype it would change how the page is laid out.
    let page = html.replacen("<head>", "<head><base target=\"_blank\">", 1);
    let mut response = Html(page).into_response();
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                  frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox";
    let policy = HeaderValue::from_static(policy);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

fn asset(kind: &'static str, content: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], content).into_response()
}

/// No other site moves the clock or frames the pages, and nothing is cached.
async fn protect(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    let foreign = matches!(site, Some(b"cross-site" | b"same-site"));
    if foreign && request.method() == http::Method::POST {
        return (StatusCode::FORBIDDEN, "the clock is moved from its own page only")
            .into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let policy = "default-src 'self'; object-src 'none'; frame-ancestors 'none'; \
                      base-uri 'none'; form-action 'self'";
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use parking_lot::Mutex;
    use tower::ServiceExt;

    use super::*;

    const STEPS: [(&str, &str); 4] = [
        ("quiet", "2018-11-01T12:00:00Z"),
        ("warn", "2018-11-05T12:00:00Z"),
        ("force", "2018-11-19T12:00:00Z"),
        ("reject", "2018-12-03T12:00:00Z"),
    ];

    fn site() -> DemoSite {
        let steps: Vec<(String, Timestamp)> =
            STEPS.iter().map(|(name, at)| ((*name).to_owned(), at.parse().unwrap())).collect();
        let clock = Arc::new(Mutex::new(steps[1].1));
        let (reading, setting, phases) = (Arc::clone(&clock), Arc::clone(&clock), steps.clone());
        let phase = move || {
            let now = *clock.lock();
            phases.iter().rfind(|(_, at)| *at <= now).unwrap().0.clone()
        };
        let controls = DemoControls {
            now: Box::new(move || *reading.lock()),
            set_clock: Box::new(move |moment| *setting.lock() = moment),
            phase: Box::new(phase),
            steps,
            time_zone: TimeZone::get("America/New_York").unwrap(),
        };
        let addresses = Addresses {
            gateway: "https://localhost:8443".into(),
            portal: "http://localhost:9080".into(),
            admin: "http://localhost:9180".into(),
            certificate_sha256: Some("AB:CD:EF".into()),
            command: "passgate accounts list --config /tmp/demo/passgate.toml".into(),
        };
        DemoSite::new(addresses, controls)
    }

    async fn send(router: &Router, request: Request<Body>) -> (StatusCode, String) {
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(router: &Router, path: &str) -> String {
        let (status, page) = send(router, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        page
    }

    fn step() -> http::request::Builder {
        let body_kind = "application/x-www-form-urlencoded";
        Request::post("/clock").header("content-type", body_kind)
    }

    /// R-G7: the start page lists everybody with what to expect now, and where things are.
    #[tokio::test]
    async fn the_start_page_says_who_can_log_in_and_where() {
        let router = router(site());
        let page = get(&router, "/").await;
        for person in sample_people() {
            assert!(page.contains(&person.login) && page.contains(&person.pin), "{person:?}");
            assert!(page.contains(&person.expectation("warn").replace('\'', "&#x27;")));
        }
        for text in ["localhost:8443/", "Monday, 5 November 2018", "AB:CD:EF", "/mail"] {
            assert!(page.contains(text), "{text}");
        }
    }

    /// R-G7: the clock control steps through the phases and forward in time; nothing else moves it.
    #[tokio::test]
    async fn the_clock_steps_through_the_phases() {
        let router = router(site());
        for (name, _) in STEPS {
            let request = step().body(Body::from(format!("to={name}"))).unwrap();
            assert_eq!(send(&router, request).await.0, StatusCode::SEE_OTHER);
            assert!(get(&router, "/state").await.contains(&format!("\"phase\":\"{name}\"")));
        }
        let request = step().body(Body::from("to=%2B4h")).unwrap();
        assert_eq!(send(&router, request).await.0, StatusCode::SEE_OTHER);
        assert!(get(&router, "/state").await.contains("11:00:00 EST"));
        let request = step().body(Body::from("to=x")).unwrap();
        assert_eq!(send(&router, request).await.0, StatusCode::BAD_REQUEST);
        let foreign = step().header("sec-fetch-site", "cross-site");
        let foreign = foreign.body(Body::from("to=warn")).unwrap();
        assert_eq!(send(&router, foreign).await.0, StatusCode::FORBIDDEN);
        assert!(get(&router, "/state").await.contains("11:00:00 EST"));
    }

    /// R-G7: the mailbox shows what was sent, escaped, and says so when there is nothing.
    #[tokio::test]
    async fn the_mailbox_shows_the_mails() {
        let site = site();
        let mailbox = site.mailbox.clone();
        let router = router(site);
        assert!(get(&router, "/mail").await.contains("No mail yet"));
        mailbox.deliver(DemoMail {
            from: "Portal <no-reply@example.com>".into(),
            to: "alice@abc-company.example".into(),
            subject: "Set <your> password".into(),
            text: "Open https://localhost:8443/account/reset?code=1 soon.".into(),
            html: Some(
                "<!doctype html><head></head><p>Hello <a href=\"https://localhost:8443/\">there</a>\
                 <script>alert(1)</script></p>"
                    .into(),
            ),
            at: STEPS[1].1.parse().unwrap(),
        });
        assert!(get(&router, "/mail").await.contains("Set &lt;your&gt; password"));
        let mail = get(&router, "/mail/1").await;
        assert!(mail.contains("alice@abc-company.example") && mail.contains("/mail/1/html"));
        assert!(mail.contains("code=1</a> soon."), "{mail}");
        let html = get(&router, "/mail/1/html").await;
        assert!(html.starts_with("<!doctype html><head><base target=\"_blank\">"), "{html}");
        // It runs no script, whatever is in it, and only our own page shows it in a frame.
        let request = Request::get("/mail/1/html").body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        for part in ["default-src 'none'", "sandbox allow-popups", "frame-ancestors 'self'"] {
            assert!(policy.contains(part) && !policy.contains("allow-scripts"), "{policy}");
        }
    }
}
