//! The driver against a portal on a real socket, shaped like the NetSapiens one.

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes as AxumBytes;
use axum::extract::State;
use axum::http::{HeaderMap as Headers, Method as RequestMethod, StatusCode, Uri};
use axum::response::{AppendHeaders, IntoResponse, Response};
use tokio::net::TcpListener;

use super::*;
use crate::domain::login_name::LoginName;
use crate::portal::HostHeader;
use crate::portal::testing::Log;

/// What the portal was asked.
#[derive(Debug, Clone)]
struct Seen {
    method: String,
    target: String,
    headers: Headers,
    fields: Vec<(String, String)>,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A portal with one user. Every page view begins a session and hands out a token that is good for
/// one login on that session.
#[derive(Default)]
struct Pbx {
    seen: Mutex<Vec<Seen>>,
    /// Answers to logins that are given instead of judging them.
    scripted: Mutex<VecDeque<Response>>,
    /// How many tokens will be stale.
    stale: Mutex<u32>,
    page: Mutex<Option<Response>>,
}

const PIN: &str = "0123";

impl Pbx {
    async fn start(self) -> (Arc<Self>, Url) {
        let pbx = Arc::new(self);
        let app = Router::new().fallback(answer).with_state(Arc::clone(&pbx));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        (pbx, url)
    }

    fn answering(response: impl IntoResponse) -> Self {
        Self { scripted: Mutex::new([response.into_response()].into()), ..Self::default() }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn posts(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.method == "POST").collect()
    }
}

const FORM: &str = r#"<form method="post" action="/portal/login">
    <input name="data[Login][username]"><input type="password" name="data[Login][password]">"#;

async fn answer(
    State(pbx): State<Arc<Pbx>>,
    method: RequestMethod,
    uri: Uri,
    headers: Headers,
    body: AxumBytes,
) -> Response {
    let fields = form_urlencoded::parse(&body).into_owned().collect();
    let seen = Seen { method: method.to_string(), target: uri.to_string(), headers, fields };
    let number = {
        let mut all = pbx.seen.lock().unwrap();
        all.push(seen.clone());
        all.len()
    };
    match (method.as_str(), uri.path()) {
        ("GET", "/portal/login") => {
            if let Some(page) = pbx.page.lock().unwrap().take() {
                return page;
            }
            let page = format!(
                r#"{FORM}<input type="hidden" name="f{number}" value="t&amp;{number}"></form>"#
            );
            let session = format!("PHPSESSID=fresh{number}; path=/");
            let cookies = [("set-cookie", session.as_str()), ("set-cookie", "lang=en")];
            (AppendHeaders(cookies), page).into_response()
        }
        ("POST", "/portal/login") => {
            if let Some(response) = pbx.scripted.lock().unwrap().pop_front() {
                return response;
            }
            let page = number - 1;
            let token = seen.field(&format!("f{page}")) == Some(&format!("t&{page}"));
            let stale = {
                let mut stale = pbx.stale.lock().unwrap();
                let was = *stale > 0;
                *stale = stale.saturating_sub(1);
                was
            };
            if stale || !token || !seen.header("cookie").contains(&format!("PHPSESSID=fresh{page}"))
            {
                return StatusCode::NOT_FOUND.into_response();
            }
            let right = seen.field("data[Login][username]") == Some("1001@abc.service")
                && seen.field("data[Login][password]") == Some(PIN);
            let to = if right { "/portal/home" } else { "/portal/login" };
            let headers = [
                ("set-cookie", "PHPSESSID=signed-in; path=/; HttpOnly"),
                ("set-cookie", "CakeCookie[Auth]=remember"),
                ("location", to),
            ];
            (StatusCode::FOUND, AppendHeaders(headers)).into_response()
        }
        ("GET", "/portal/login/logout") => {
            (StatusCode::FOUND, [("location", "/portal/login")]).into_response()
        }
        ("HEAD", "/portal/login") => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        _ => StatusCode::IM_A_TEAPOT.into_response(),
    }
}

fn driver(servers: Vec<Url>, adapt: impl FnOnce(&mut UpstreamSettings)) -> LoginDriver {
    let profile = Profile::parse(Profile::builtin("netsapiens").unwrap(), "netsapiens").unwrap();
    let mut upstream = UpstreamSettings {
        servers,
        ca_pem: None,
        host: HostHeader::Preserve,
        public_host: "portal.example.com".into(),
        aliases: vec!["pbx.internal".into()],
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(20),
    };
    adapt(&mut upstream);
    LoginDriver::new(Arc::new(profile), upstream).unwrap()
}

async fn log_in_at(
    driver: &LoginDriver,
    pin: &str,
    server: Option<usize>,
) -> Result<PortalAnswer, Unavailable> {
    let login = LoginName::new("1001", "abc.service").unwrap();
    let request = PortalLogin {
        login: &login,
        pin: &Secret::new(pin),
        carried: &[("undeclared".into(), "x".into())],
        user_agent: "Browser/1 (x)",
        client: "203.0.113.7".parse().unwrap(),
        host: "portal.example.com:8443",
        server,
    };
    driver.log_in(request).await
}

async fn log_in(driver: &LoginDriver, pin: &str) -> Result<PortalAnswer, Unavailable> {
    log_in_at(driver, pin, None).await
}

/// A login begins on a fresh PBX session, takes the page's hidden inputs along whatever their
/// names, and ends with the session's cookies alone in the jar.
#[tokio::test]
async fn a_right_pin_is_accepted() {
    let (pbx, url) = Pbx::default().start().await;
    let driver = driver(vec![url], |_| {});
    for _ in 0..2 {
        let PortalAnswer::Accepted(session) = log_in(&driver, PIN).await.unwrap() else {
            panic!("not accepted");
        };
        assert_eq!(session.jar.header().as_deref(), Some("PHPSESSID=signed-in"));
        assert_eq!(session.landing.as_deref(), Some("/portal/home"));
        assert_eq!(session.server, 0);
    }
    let seen = pbx.seen();
    assert_eq!(seen.len(), 4);
    for get in seen.iter().filter(|seen| seen.method == "GET") {
        assert_eq!(get.header("cookie"), "", "every login begins without a session");
    }
    for request in &seen {
        assert_eq!(request.header("host"), "portal.example.com:8443");
        assert_eq!(request.header("x-forwarded-host"), "portal.example.com:8443");
        assert_eq!(request.header("x-forwarded-proto"), "https");
        assert_eq!(request.header("x-forwarded-for"), "203.0.113.7");
        assert_eq!(request.header("user-agent"), "Browser/1 (x)");
        assert_eq!(request.header("accept-encoding"), "identity");
    }
    let post = &pbx.posts()[0];
    assert_eq!(post.header("cookie"), "PHPSESSID=fresh1; lang=en");
    assert_eq!(post.header("origin"), "https://portal.example.com:8443");
    assert_eq!(post.header("referer"), "https://portal.example.com:8443/portal/login");
    assert_eq!(post.header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(post.target, "/portal/login");
    assert_eq!(post.field("undeclared"), None);
    assert_eq!(post.fields.len(), 3);
}

/// Architecture, decision 3: refused by redirect or by the form again; the first answer counts.
#[tokio::test]
async fn a_wrong_pin_is_refused() {
    let (pbx, url) = Pbx::default().start().await;
    assert_eq!(log_in(&driver(vec![url], |_| {}), "9999").await.unwrap(), PortalAnswer::Refused);
    assert_eq!(pbx.seen().len(), 2, "no redirect is followed");
    let (_, url) = Pbx::answering(FORM).start().await;
    assert_eq!(log_in(&driver(vec![url], |_| {}), PIN).await.unwrap(), PortalAnswer::Refused);
}

/// PINs and passwords reach the PBX as typed, whatever they hold.
#[tokio::test]
async fn every_character_arrives() {
    let (pbx, url) = Pbx::default().start().await;
    let odd = "+&=% ;é\"#[]1";
    assert_eq!(log_in(&driver(vec![url], |_| {}), odd).await.unwrap(), PortalAnswer::Refused);
    assert_eq!(pbx.posts()[0].field("data[Login][password]"), Some(odd));
}

/// The PBX's own second question proves nothing, but its session is kept for the answer.
#[tokio::test]
async fn a_challenge_is_kept_apart() {
    let headers = [("location", "http://pbx.internal/portal/login/mfa/1")];
    let (_, url) = Pbx::answering((StatusCode::FOUND, headers)).start().await;
    let answer = log_in(&driver(vec![url], |_| {}), PIN).await.unwrap();
    let PortalAnswer::Challenge(session) = answer else { panic!("{answer:?}") };
    assert_eq!(session.landing.as_deref(), Some("/portal/login/mfa/1"));
    assert_eq!(session.jar.header().as_deref(), Some("PHPSESSID=fresh1"));
}

/// What no predicate matches is neither yes nor no.
#[tokio::test]
async fn unknown_answers_stay_unknown() {
    let foreign = [("location", "https://evil.example/portal/home")];
    for response in [
        "<h1>Welcome</h1>".into_response(),
        (StatusCode::FOUND, foreign).into_response(),
        StatusCode::TOO_MANY_REQUESTS.into_response(),
    ] {
        let (_, url) = Pbx::answering(response).start().await;
        let answer = log_in(&driver(vec![url], |_| {}), PIN).await.unwrap();
        assert!(matches!(answer, PortalAnswer::Unknown { .. }), "{answer:?}");
    }
    let maintenance = "<h1>Back soon</h1>".into_response();
    let pbx = Pbx { page: Mutex::new(Some(maintenance)), ..Pbx::default() };
    let (pbx, url) = pbx.start().await;
    let answer = log_in(&driver(vec![url], |_| {}), PIN).await.unwrap();
    assert!(matches!(answer, PortalAnswer::Unknown { .. }), "{answer:?}");
    assert!(pbx.posts().is_empty(), "no PIN is sent where there is no login form");
}

/// A stale form token is cured by a fresh page, once.
#[tokio::test]
async fn a_stale_token_is_tried_again_once() {
    let (pbx, url) = Pbx { stale: Mutex::new(1), ..Pbx::default() }.start().await;
    let answer = log_in(&driver(vec![url], |_| {}), PIN).await.unwrap();
    assert!(matches!(answer, PortalAnswer::Accepted(_)), "{answer:?}");
    assert_eq!(pbx.posts().len(), 2);
    let (pbx, url) = Pbx { stale: Mutex::new(9), ..Pbx::default() }.start().await;
    let answer = log_in(&driver(vec![url], |_| {}), PIN).await.unwrap();
    assert!(matches!(answer, PortalAnswer::Unknown { .. }), "{answer:?}");
    assert_eq!(pbx.posts().len(), 2);
}

async fn closed_port() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap()
}

/// security.md, faults: an outage is never an answer, and a POST is not sent twice.
#[tokio::test]
async fn outages_are_outages() {
    let driver_down = driver(vec![closed_port().await], |_| {});
    assert_eq!(log_in(&driver_down, PIN).await.unwrap_err().what, "pbx");
    assert!(driver_down.ping().await.is_err());

    let (pbx, url) = Pbx::answering(StatusCode::INTERNAL_SERVER_ERROR).start().await;
    assert!(log_in(&driver(vec![url], |_| {}), PIN).await.is_err());
    assert_eq!(pbx.posts().len(), 1);

    // A server that accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", silent.local_addr().unwrap())).unwrap();
    let hasty = driver(vec![url], |upstream| {
        upstream.connect_timeout = Duration::from_millis(40);
        upstream.response_timeout = Duration::from_millis(40);
    });
    assert!(log_in(&hasty, PIN).await.unwrap_err().detail.contains("in time"));
}

/// R-G2: a login goes on at another server when one is down, and stays where it is told to stay.
#[tokio::test]
async fn servers_share_the_logins() {
    let (first, up) = Pbx::default().start().await;
    let (second, other) = Pbx::default().start().await;
    let driver = driver(vec![closed_port().await, up, other], |_| {});
    for _ in 0..6 {
        let answer = log_in(&driver, PIN).await.unwrap();
        assert!(matches!(answer, PortalAnswer::Accepted(ref at) if at.server > 0), "{answer:?}");
    }
    assert!(!first.posts().is_empty() && !second.posts().is_empty());
    let before = first.posts().len();
    for _ in 0..3 {
        let answer = log_in_at(&driver, PIN, Some(2)).await.unwrap();
        assert!(matches!(answer, PortalAnswer::Accepted(ref at) if at.server == 2), "{answer:?}");
    }
    assert_eq!(first.posts().len(), before);
    assert!(log_in_at(&driver, PIN, Some(0)).await.is_err());
    assert!(log_in_at(&driver, PIN, Some(7)).await.is_err());
    driver.ping().await.unwrap();
}

/// R-C6: sign-out ends the PBX session; without one there is nothing to ask.
#[tokio::test]
async fn signing_out() {
    let (pbx, url) = Pbx::default().start().await;
    let driver = driver(vec![url], |upstream| upstream.host = HostHeader::Fixed("pbx".into()));
    driver.sign_out(&Jar::new(), 0, "Browser/1", "portal.example.com").await.unwrap();
    assert!(pbx.seen().is_empty());
    let mut jar = Jar::new();
    jar.take("PHPSESSID=signed-in");
    driver.sign_out(&jar, 0, "Browser/1", "portal.example.com").await.unwrap();
    let seen = pbx.seen().remove(0);
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/portal/login/logout"));
    assert_eq!(seen.header("cookie"), "PHPSESSID=signed-in");
    assert_eq!(
        (seen.header("host"), seen.header("x-forwarded-host")),
        ("pbx", "portal.example.com")
    );
    driver.ping().await.unwrap();
}

/// R-B5: what does not look like a PIN is known before anything is sent.
#[tokio::test]
async fn a_portal_password_does_not_look_like_a_pin() {
    let driver = driver(vec![closed_port().await], |_| {});
    assert!(driver.looks_like_pin(&Secret::new("0123")));
    for password in ["Tr0ubador", "", "12 34", "1234\n", "１２３４"] {
        assert!(!driver.looks_like_pin(&Secret::new(password)), "{password:?}");
    }
}

/// security.md: secrets never in answers, errors or the log.
#[tokio::test]
async fn secrets_are_never_told() {
    let log = Log::start();

    let canary = "73571357";
    let (_, up) = Pbx::default().start().await;
    let headers = [("location", "/elsewhere?pin=73571357")];
    let (_, odd) = Pbx::answering((StatusCode::FOUND, headers)).start().await;
    let mut told = String::new();
    for server in [up, odd, closed_port().await] {
        told += &format!("{:?}", log_in(&driver(vec![server], |_| {}), canary).await);
    }
    told += &log.text();
    assert!(told.contains("portal login: refused") && told.contains("no predicate"), "{told}");
    assert!(!told.contains(canary), "{told}");
}

/// Settings that cannot work are refused at start.
#[test]
fn impossible_settings_are_refused() {
    let profile = Profile::parse(Profile::builtin("netsapiens").unwrap(), "netsapiens").unwrap();
    let profile = Arc::new(profile);
    let good = UpstreamSettings {
        servers: vec![Url::parse("https://pbx.example").unwrap()],
        ca_pem: None,
        host: HostHeader::Preserve,
        public_host: "portal.example.com".into(),
        aliases: vec![],
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(20),
    };
    assert!(LoginDriver::new(Arc::clone(&profile), good.clone()).is_ok());
    for bad in [
        UpstreamSettings { servers: vec![], ..good.clone() },
        UpstreamSettings { servers: vec![Url::parse("http://pbx/path").unwrap()], ..good.clone() },
        UpstreamSettings { servers: vec![Url::parse("ftp://pbx/").unwrap()], ..good.clone() },
        UpstreamSettings { ca_pem: Some(b"no PEM".to_vec()), ..good.clone() },
        UpstreamSettings { host: HostHeader::Fixed("a\nb".into()), ..good.clone() },
    ] {
        assert!(LoginDriver::new(Arc::clone(&profile), bad).is_err());
    }
}
