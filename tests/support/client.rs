//! A client with cookies, that follows no redirect by itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Certificate, Method, RequestBuilder, redirect};

use super::Person;

/// Something like a browser: it keeps cookies and sends the headers of a navigation.
pub struct Client {
    pub http: reqwest::Client,
    pub base: String,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn location(&self) -> &str {
        self.headers.get(LOCATION).map_or("", |value| value.to_str().unwrap())
    }

    /// The value of a hidden or other input in the page.
    pub fn input(&self, name: &str) -> String {
        input(&self.text(), name)
    }

    /// The same in the page's last form. The first one may be that of the sign-out button.
    pub fn last_form_input(&self, name: &str) -> String {
        let text = self.text();
        input(&text[text.rfind("<form").expect("it has a form")..], name)
    }
}

fn input(text: &str, name: &str) -> String {
    let at = text
        .find(&format!("name=\"{name}\""))
        .unwrap_or_else(|| panic!("no input {name} in {text}"));
    let tag_start = text[..at].rfind('<').unwrap();
    let tag = &text[tag_start..tag_start + text[tag_start..].find('>').unwrap()];
    let value = tag.split("value=\"").nth(1).unwrap_or_default();
    value.split('"').next().unwrap_or_default().to_owned()
}

impl Client {
    pub fn new(address: SocketAddr, authority_pem: &str) -> Self {
        Self::with(address, authority_pem, |builder| builder)
    }

    /// A client over HTTP/1.1 or HTTP/2 only, and the like.
    pub fn with(
        address: SocketAddr,
        authority_pem: &str,
        change: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Self {
        // Whoever is first wins; the others find the same provider there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(authority_pem.as_bytes()).unwrap()])
            .redirect(redirect::Policy::none())
            .no_proxy();
        Self {
            http: change(builder).build().unwrap(),
            base: format!("https://localhost:{}", address.port()),
            cookies: Mutex::default(),
        }
    }

    /// A request as a browser's navigation sends it, with the cookies it has.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.plain_request(method, path)
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
    }

    fn plain_request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .header("user-agent", "test-browser/1.0")
            .header("sec-fetch-site", "same-origin");
        match self.cookie_header() {
            cookies if cookies.is_empty() => request,
            cookies => request.header(COOKIE, cookies),
        }
    }

    /// Sends a request and keeps the cookies of its answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        for cookie in headers.get_all(SET_COOKIE) {
            self.keep(cookie.to_str().unwrap());
        }
        Answer { status, headers, body: answer.bytes().await.unwrap().to_vec() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.request(Method::POST, path).header("origin", &self.base).form(form);
        self.send(request).await
    }

    /// As a script of the page asks.
    pub async fn fetch(&self, path: &str) -> Answer {
        self.send(self.as_script(path)).await
    }

    /// The request of [`Self::fetch`].
    pub fn as_script(&self, path: &str) -> RequestBuilder {
        self.plain_request(Method::GET, path)
            .header("accept", "*/*")
            .header("x-requested-with", "XMLHttpRequest")
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty")
    }

    /// The portal's own login form, filled in and sent.
    pub async fn log_in(&self, login: &str, secret: &str) -> Answer {
        let form = [
            ("_method", "POST"),
            ("data[Login][username]", login),
            ("data[Login][password]", secret),
        ];
        self.post("/portal/login", &form).await
    }

    /// As [`Self::log_in`], and it must succeed.
    pub async fn signed_in(self, person: &Person) -> Self {
        let answer = self.log_in(&person.login, &person.pin).await;
        assert_eq!((answer.status, answer.location()), (303, "/portal/home"), "{}", answer.text());
        self
    }

    /// Sets or changes the portal password on our own page.
    pub async fn set_password(&self, current: &str, new: &str) -> Answer {
        let page = self.get("/account/security").await;
        assert_eq!(page.status, 200, "{}", page.text());
        let csrf = page.input("csrf");
        let form = [
            ("csrf", csrf.as_str()),
            ("current_password", current),
            ("password", new),
            ("confirm", new),
        ];
        self.post("/account/security", &form).await
    }

    /// The page of the force phase, filled in and sent.
    pub async fn choose(&self, pin: &str, password: &str) -> Answer {
        let page = self.get("/account/set-password").await;
        assert_eq!(page.status, 200, "{}", page.text());
        let csrf = page.input("csrf");
        let form =
            [("csrf", csrf.as_str()), ("pin", pin), ("password", password), ("confirm", password)];
        self.post("/account/set-password", &form).await
    }

    /// The form behind a link from a mail, filled in with these fields and sent.
    pub async fn use_link(&self, link: &str, fields: &[(&str, &str)]) -> Answer {
        let page = self.get(link).await;
        assert_eq!(page.status, 200, "{link}: {}", page.text());
        let (csrf, code) = (page.last_form_input("csrf"), page.input("code"));
        let form = [&[("csrf", csrf.as_str()), ("code", code.as_str())], fields].concat();
        self.post(link.split('?').next().unwrap(), &form).await
    }

    /// Whether this PIN opens the mailbox on the portal's voicemail page.
    pub async fn opens_mailbox(&self, pin: &str) -> bool {
        let page = self.post("/portal/voicemail", &[("data[Voicemail][pin]", pin)]).await;
        assert_eq!(page.status, 200, "{}", page.text());
        !page.text().contains("does not open this mailbox")
    }

    /// The cookies it would send now.
    pub fn cookie_header(&self) -> String {
        let cookies = self.cookies.lock().unwrap();
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// The value of one cookie.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    /// Plants a cookie.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.into(), value.into());
    }

    fn keep(&self, set_cookie: &str) {
        let (pair, attributes) = set_cookie.split_once(';').unwrap_or((set_cookie, ""));
        let (name, value) = pair.split_once('=').unwrap();
        let mut cookies = self.cookies.lock().unwrap();
        let gone = value.is_empty() || attributes.to_ascii_lowercase().contains("max-age=0");
        if gone {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}
