//! The PBX of the benchmark: a login form of the NetSapiens shape, a 45-byte answer and a 50-KB
//! page. Both are for holders of a PBX session only, so that every right answer shows that the
//! proxy sent the session's cookie.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// The small answer's path.
pub const SMALL: &str = "/portal/home/count";
/// The small answer's path in the API, for holders of a bearer token.
pub const API_CALL: &str = "/ns-api/v2/count";
/// Where tokens are asked for.
pub const TOKENS: &str = "/ns-api/oauth2/token";
/// The page's path.
pub const PAGE: &str = "/portal/calls";
/// Everybody's PIN.
pub const PIN: &str = "48151";
/// A PBX session that is always there, for proxies that do not log in.
pub const STANDING_SESSION: &str = "PHPSESSID=benchmark";

/// The same of the API.
pub const STANDING_BEARER: &str = "Bearer benchmark";

const TOKEN: &str = "f00dcafe";

/// What is served, and to whom.
pub struct Upstream {
    pub address: SocketAddr,
    contents: Arc<Contents>,
}

struct Contents {
    small: Bytes,
    page: Bytes,
    sessions: Mutex<HashSet<String>>,
    bearers: Mutex<HashSet<String>>,
}

impl Upstream {
    /// Serves in a thread of its own until the process ends.
    pub fn start() -> Self {
        let contents = Arc::new(Contents {
            small: Bytes::from_static(b"{\"calls\":7,\"messages\":3,\"state\":\"registered\"}"),
            page: page(),
            sessions: Mutex::new(HashSet::from(["benchmark".to_owned()])),
            bearers: Mutex::new(HashSet::from([STANDING_BEARER.to_owned()])),
        });
        let (tell, told) = mpsc::channel();
        let served = Arc::clone(&contents);
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                serve(listener, move |request| answer(Arc::clone(&served), request)).await;
            });
        });
        Self { address: told.recv().unwrap(), contents }
    }

    pub fn small(&self) -> Bytes {
        self.contents.small.clone()
    }

    pub fn page(&self) -> Bytes {
        self.contents.page.clone()
    }
}

/// Serves HTTP/1.1 with keep-alive, each connection in a task of its own.
pub async fn serve<A, F>(listener: TcpListener, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        tokio::spawn(serve_connection(socket, answer.clone()));
    }
}

async fn serve_connection<A, F>(socket: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    socket.set_nodelay(true).unwrap();
    let service = service_fn(|request| {
        let answered = answer(request);
        async { Ok::<_, Infallible>(answered.await) }
    });
    // A proxy that closes its connection is no error of ours.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

/// The PBX session that a request carries.
pub fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix("PHPSESSID="))
}

async fn answer(contents: Arc<Contents>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let known = || {
        let sessions = contents.sessions.lock().unwrap();
        session(request.headers()).is_some_and(|session| sessions.contains(session))
    };
    let holds_bearer = || {
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
        shown.is_some_and(|shown| contents.bearers.lock().unwrap().contains(shown))
    };
    match (request.method(), request.uri().path()) {
        (&Method::GET, API_CALL) if holds_bearer() => {
            reply("application/json", contents.small.clone())
        }
        (&Method::GET, SMALL) if known() => reply("application/json", contents.small.clone()),
        (&Method::GET, PAGE) if known() => reply("text/html; charset=utf-8", contents.page.clone()),
        (&Method::GET, "/portal/login") => {
            let session = contents.open_session();
            let form = format!(
                "<!doctype html><html><body><form method=post><input type=hidden \
                 name=\"data[_Token][key]\" value={TOKEN}><input name=\"data[Login][username]\">\
                 <input type=password name=\"data[Login][password]\"></form></body></html>"
            );
            let mut response = reply("text/html; charset=utf-8", form.into());
            set_session(&mut response, &session);
            response
        }
        (&Method::POST, TOKENS) => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            match field(&body, "password").is_some_and(|pin| pin == PIN) {
                true => reply("application/json", contents.give_token().into()),
                false => {
                    let mut response =
                        reply("application/json", "{\"error\":\"invalid_grant\"}".into());
                    *response.status_mut() = StatusCode::BAD_REQUEST;
                    response
                }
            }
        }
        (&Method::POST, "/portal/login") => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let field = |name| field(&body, name);
            let right = field("data[Login][password]").is_some_and(|pin| pin == PIN)
                && field("data[_Token][key]").is_some_and(|token| token == TOKEN);
            let mut response = reply("text/html; charset=utf-8", Bytes::new());
            *response.status_mut() = StatusCode::FOUND;
            let place = if right { "/portal/home" } else { "/portal/login" };
            response.headers_mut().insert(header::LOCATION, place.parse().unwrap());
            if right {
                set_session(&mut response, &contents.open_session());
            }
            response
        }
        _ => {
            let mut response = reply("text/plain", "no such page for you".into());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

fn field<'a>(form: &'a [u8], name: &str) -> Option<std::borrow::Cow<'a, str>> {
    form_urlencoded::parse(form).find(|(key, _)| key == name).map(|(_, value)| value)
}

impl Contents {
    /// The answer to a request for tokens, in the shape of the NetSapiens API.
    fn give_token(&self) -> String {
        let (access, refresh) = (unguessable(), unguessable());
        self.bearers.lock().unwrap().insert(format!("Bearer {access}"));
        format!(
            "{{\"username\":\"1001\",\"scope\":\"Basic User\",\"access_token\":\"{access}\",\
             \"expires_in\":3600,\"token_type\":\"Bearer\",\"refresh_token\":\"{refresh}\"}}"
        )
    }

    fn open_session(&self) -> String {
        let session = unguessable();
        self.sessions.lock().unwrap().insert(session.clone());
        session
    }
}

fn unguessable() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    uuid::Uuid::from_bytes(bytes).simple().to_string()
}

fn set_session(response: &mut Response<Full<Bytes>>, session: &str) {
    let cookie = format!("PHPSESSID={session}; path=/; HttpOnly");
    response.headers_mut().insert(header::SET_COOKIE, cookie.parse().unwrap());
}

fn reply(kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    Response::builder().header(header::CONTENT_TYPE, kind).body(Full::new(body)).unwrap()
}

/// A call history as such portals show it.
fn page() -> Bytes {
    let scripts = "<script src=\"/portal/js/jquery.plugin.js\"></script>\n".repeat(12);
    let row = "<tr class=\"odd\"><td>1001</td><td><a href=\"/portal/users/edit/1001\">Alice Adams\
               </a></td><td>2024-05-06 07:08:09</td></tr>\n";
    let head = format!(
        "<!doctype html>\n<html><head><title>Call History</title>\n{scripts}</head>\n\
         <body class=\"calls\"><div id=\"user-toolbar\"></div><table>\n"
    );
    let tail = "</table></body></html>\n";
    let rows = row.repeat((50 * 1024 - head.len() - tail.len()) / row.len());
    format!("{head}{rows}{tail}").into()
}
