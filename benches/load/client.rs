//! The load: keep-alive connections over TLS 1.3, HTTP/1.1 or HTTP/2, every answer checked.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::statistics::percentile;
use super::tls::Http;

/// Streams on one HTTP/2 connection.
const STREAMS: usize = 4;

/// What a script of the portal's page sends, or the browser when it shows a page. `shown` is the
/// field that says who it is.
pub fn browser_request(http: Http, port: u16, path: &str, shown: (&str, &str)) -> Request<()> {
    let page = path == super::upstream::PAGE;
    let authority = format!("localhost:{port}");
    let mut request = match http {
        Http::One => Request::get(path).header(header::HOST, &authority),
        Http::Two => Request::get(format!("https://{authority}{path}")).version(Version::HTTP_2),
    };
    for (name, value) in [
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("accept", if page { "text/html,application/xhtml+xml,*/*;q=0.8" } else { "*/*" }),
        ("accept-language", "en-US,en;q=0.5"),
        ("sec-fetch-dest", if page { "document" } else { "empty" }),
        ("sec-fetch-mode", if page { "navigate" } else { "cors" }),
        ("sec-fetch-site", "same-origin"),
        shown,
    ] {
        request = request.header(name, value);
    }
    request.body(()).unwrap()
}

/// One kind of request to one proxy, and its right answer.
#[derive(Clone)]
pub struct Work {
    pub address: SocketAddr,
    pub tls: Arc<ClientConfig>,
    pub http: Http,
    pub request: Request<()>,
    pub expected: Bytes,
}

/// What a load came to.
pub struct Outcome {
    pub wall: Duration,
    /// Milliseconds.
    pub latencies: Vec<f64>,
}

impl Outcome {
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.wall.as_secs_f64()
    }

    pub fn p99(&mut self) -> f64 {
        percentile(&mut self.latencies, 0.99)
    }
}

/// Open connections, each of which has had its first answer.
pub struct Load {
    lanes: Vec<Lane>,
    work: Work,
}

impl Load {
    /// Opens what `concurrency` requests at once need.
    pub async fn open(work: &Work, concurrency: usize) -> Self {
        let mut lanes = Vec::with_capacity(concurrency);
        while lanes.len() < concurrency {
            let lane = Lane::open(work.address, &work.tls, work.http).await;
            let more = match &lane {
                Lane::One(_) => 0,
                Lane::Two(_) => STREAMS.min(concurrency - lanes.len()) - 1,
            };
            lanes.extend((0..more).filter_map(|_| lane.another()));
            lanes.push(lane);
        }
        for lane in &mut lanes {
            lane.ask(work).await;
        }
        Self { lanes, work: work.clone() }
    }

    /// Sends `requests`, each as soon as its lane is free.
    pub async fn run(self, requests: usize) -> Outcome {
        let left = Arc::new(AtomicUsize::new(requests));
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for mut lane in self.lanes {
            let (left, work) = (Arc::clone(&left), self.work.clone());
            tasks.spawn(async move {
                let mut latencies = Vec::with_capacity(requests);
                while take_one(&left) {
                    let sent = Instant::now();
                    lane.ask(&work).await;
                    latencies.push(sent.elapsed().as_secs_f64() * 1e3);
                }
                latencies
            });
        }
        let latencies = tasks.join_all().await.concat();
        Outcome { wall: begun.elapsed(), latencies }
    }

    /// Sends `rate` requests a second for `time`, whether answers come or not; a latency counts
    /// from the moment the request was due.
    pub async fn paced(self, rate: f64, time: Duration) -> Outcome {
        let begun = Instant::now();
        let lanes = self.lanes.len() as f64;
        let mut tasks = JoinSet::new();
        for (index, mut lane) in self.lanes.into_iter().enumerate() {
            let work = self.work.clone();
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                let mut due = Duration::from_secs_f64(index as f64 / rate);
                while due < time {
                    tokio::time::sleep_until((begun + due).into()).await;
                    lane.ask(&work).await;
                    latencies.push((begun.elapsed() - due).as_secs_f64() * 1e3);
                    due += Duration::from_secs_f64(lanes / rate);
                }
                latencies
            });
        }
        let latencies = tasks.join_all().await.concat();
        Outcome { wall: begun.elapsed(), latencies }
    }
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// A connection, or one of several users of an HTTP/2 connection.
pub enum Lane {
    One(http1::SendRequest<Full<Bytes>>),
    Two(h2::client::SendRequest<Bytes>),
}

impl Lane {
    pub async fn open(address: SocketAddr, tls: &Arc<ClientConfig>, http: Http) -> Self {
        let stream = connect(address, tls).await;
        match http {
            Http::One => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
                // Errors of the connection are met again by whoever uses the sender.
                tokio::spawn(connection);
                Self::One(sender)
            }
            Http::Two => {
                let (sender, connection) = h2::client::Builder::new()
                    .initial_window_size(1024 * 1024)
                    .initial_connection_window_size(8 * 1024 * 1024)
                    .handshake(stream)
                    .await
                    .unwrap();
                tokio::spawn(connection);
                Self::Two(sender)
            }
        }
    }

    fn another(&self) -> Option<Self> {
        match self {
            Self::One(_) => None,
            Self::Two(sender) => Some(Self::Two(sender.clone())),
        }
    }

    /// Sends the request and checks the answer.
    pub async fn ask(&mut self, work: &Work) {
        let (status, right) = match self {
            Self::One(sender) => {
                let request = work.request.clone().map(|()| Full::default());
                sender.ready().await.unwrap();
                let answer = sender.send_request(request).await.unwrap();
                let status = answer.status();
                let mut body = answer.into_body();
                let mut left = Some(&work.expected[..]);
                while let Some(frame) = body.frame().await {
                    if let Ok(piece) = frame.unwrap().into_data() {
                        left = left.and_then(|left| left.strip_prefix(&piece[..]));
                    }
                }
                (status, left == Some(&[]))
            }
            Self::Two(sender) => {
                poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
                let (answer, _) = sender.send_request(work.request.clone(), true).unwrap();
                let answer = answer.await.unwrap();
                let status = answer.status();
                let mut body = answer.into_body();
                let mut left = Some(&work.expected[..]);
                while let Some(piece) = body.data().await {
                    let piece = piece.unwrap();
                    body.flow_control().release_capacity(piece.len()).unwrap();
                    left = left.and_then(|left| left.strip_prefix(&piece[..]));
                }
                (status, left == Some(&[]))
            }
        };
        assert!(
            status == StatusCode::OK && right,
            "a wrong answer to {}: status {status}, body as expected: {right}",
            work.request.uri()
        );
    }
}

/// A TLS connection to `localhost`.
pub async fn connect(address: SocketAddr, tls: &Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::clone(tls)).connect(name, socket).await.unwrap()
}

/// One browser on one kept-alive connection, with the cookies it was given.
pub struct Browser {
    sender: http1::SendRequest<Full<Bytes>>,
    origin: String,
    cookies: Vec<(String, String)>,
}

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Browser {
    pub async fn open(address: SocketAddr, tls: &Arc<ClientConfig>) -> Self {
        let (sender, connection) =
            http1::handshake(TokioIo::new(connect(address, tls).await)).await.unwrap();
        tokio::spawn(connection);
        let origin = format!("https://localhost:{}", address.port());
        Self { sender, origin, cookies: Vec::new() }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, Bytes::new()).await
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send(Method::POST, path, body.into()).await
    }

    /// The value of its session cookie at Passgate, as it is sent.
    pub fn session(&self) -> String {
        let name = passgate::web::cookies::SESSION;
        let (_, value) = self.cookies.iter().find(|(cookie, _)| cookie == name).unwrap();
        format!("{name}={value}")
    }

    /// A browser of somebody else, on the same connection.
    pub fn forget_cookies(&mut self) {
        self.cookies.clear();
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Answer {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(header::HOST, self.origin.trim_start_matches("https://"))
            .header(header::USER_AGENT, "load-benchmark/1")
            .header(header::ACCEPT, "text/html")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-site", "same-origin");
        if method == Method::POST {
            request = request
                .header(header::ORIGIN, &self.origin)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<_> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        self.sender.ready().await.unwrap();
        let answer =
            self.sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        for cookie in head.headers.get_all(header::SET_COOKIE) {
            self.keep(cookie);
        }
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    fn keep(&mut self, set_cookie: &HeaderValue) {
        let pair = set_cookie.to_str().unwrap().split(';').next().unwrap_or_default();
        let (name, value) = pair.split_once('=').unwrap();
        self.cookies.retain(|(cookie, _)| cookie != name);
        if !value.is_empty() {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }
}

impl Answer {
    /// Where a redirect leads.
    pub fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |place| place.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The body of one answer.
pub async fn fetch(address: SocketAddr, tls: &Arc<ClientConfig>, request: Request<()>) -> Bytes {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(connect(address, tls).await)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request.map(|()| Full::<Bytes>::default())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.into_body().collect().await.unwrap().to_bytes()
}
