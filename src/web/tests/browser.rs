//! A browser in a few lines: keeps cookies, reads forms, and meets the gateway's part of the work.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use regex::Regex;

use super::{World, look};
use crate::domain::session::{LiveSession, Standing};
use crate::web::notice::Notices;
use crate::web::{Visitor, cookies, flash, next_page};

/// One browser.
pub(super) struct Browser<'w> {
    world: &'w World,
    pub cookies: BTreeMap<String, String>,
    /// Further headers of every request.
    pub headers: Vec<(&'static str, String)>,
    /// Where it comes from.
    pub client: IpAddr,
    /// The host that it asks.
    pub host: &'static str,
    /// A script asks, not a person.
    pub script: bool,
    /// What it calls itself.
    pub user_agent: &'static str,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl<'w> Browser<'w> {
    pub fn new(world: &'w World) -> Self {
        Self {
            world,
            cookies: BTreeMap::new(),
            headers: Vec::new(),
            client: IpAddr::from([203, 0, 113, 7]),
            host: "portal.example.com",
            script: false,
            user_agent: "Test/1.0",
        }
    }

    pub async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, "", Body::empty()).await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(Method::POST, path, "application/x-www-form-urlencoded", Body::from(body)).await
    }

    /// Opens a page, fills its form in and sends it, hidden fields and all.
    pub async fn fill_in(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let page = self.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {page:?}");
        self.send_form(&page, path, fields).await
    }

    /// Sends the form of a page that is open.
    pub async fn send_form(&mut self, page: &Page, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut all = page.hidden_fields(path);
        for (name, value) in fields {
            all.retain(|(other, _)| other != name);
            all.push(((*name).to_owned(), (*value).to_owned()));
        }
        let all: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(path, &all).await
    }

    pub async fn sign_in(&mut self, login: &str, secret: &str) -> Page {
        self.fill_in("/account/login", &[("login", login), ("password", secret)]).await
    }

    /// What the next page of the portal would say, and forgets it.
    pub fn message(&mut self) -> String {
        let Some(value) = self.cookies.remove(cookies::FLASH) else { return String::new() };
        let services = &self.world.services;
        let left = flash::parse(services.vault.as_ref(), &value, services.clock.now()).unwrap();
        Notices::new(look()).message_text(&left.message)
    }

    /// Remembers a page, as the gateway does that was asked for it.
    pub fn asks_for(&mut self, path: &str) {
        let cookie = next_page::remember(path).unwrap();
        let value = cookie.to_str().unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
        self.cookies.insert(cookies::NEXT.to_owned(), value);
    }

    /// The session of the session cookie, as the gateway finds it.
    pub async fn session(&self) -> Option<(Arc<LiveSession>, Standing)> {
        let token = cookies::session_token(self.cookies.get(cookies::SESSION)?)?;
        let services = &self.world.services;
        let session = services.sessions.find(&token.id()).await.ok()??;
        let now = services.clock.now();
        let phase = services.policies.rollout.phase(session.record().login.tenant(), now);
        let standing = session.standing(&services.policies.session, phase, now);
        Some((session, standing))
    }

    pub async fn send(&mut self, method: Method, path: &str, kind: &str, body: Body) -> Page {
        let session = self.session().await;
        let mut request = Request::builder().method(method).uri(path);
        let jar: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !jar.is_empty() {
            request = request.header(COOKIE, jar.join("; "));
        }
        if !kind.is_empty() {
            request = request.header(CONTENT_TYPE, kind);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let visitor = Visitor {
            client: self.client,
            user_agent: self.user_agent.into(),
            host: self.host.into(),
            standing: session.as_ref().map(|(_, standing)| *standing),
            session: session.map(|(session, _)| session),
            device: self.cookies.get(cookies::DEVICE).cloned(),
            wants_json: self.script,
        };
        let body = axum::body::to_bytes(body, 1 << 24).await.unwrap();
        let request = request.body(body).unwrap();
        let (parts, body) = self.world.pages.answer(request, visitor).await.into_parts();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let page = Page { status: parts.status, headers: parts.headers, text };
        self.keep_cookies(&page);
        page
    }

    fn keep_cookies(&mut self, page: &Page) {
        for cookie in page.headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if name.starts_with("__Host-") {
                assert!(
                    attributes.starts_with("Path=/; Secure; HttpOnly; SameSite=Lax"),
                    "{cookie}"
                );
            }
            match attributes.ends_with("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
    }
}

impl Page {
    /// Asserts a 303 to this place.
    #[track_caller]
    pub fn leads_to(&self, place: &str) {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        assert_eq!(self.header(LOCATION.as_str()), place);
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The opening tags of elements with this name.
    pub fn tags(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let tags = Regex::new(&format!(r"<{name}\b([^>]*)>")).unwrap();
        let attributes = Regex::new(r#"([a-z-]+)(?:="([^"]*)")?"#).unwrap();
        let read = |tag: regex::Captures<'_>| {
            attributes
                .captures_iter(tag.get(1).unwrap().as_str())
                .map(|found| {
                    let value = found.get(2).map_or("", |value| value.as_str());
                    (found[1].to_owned(), unescape(value))
                })
                .collect()
        };
        tags.captures_iter(&self.text).map(read).collect()
    }

    /// The attributes of the field with this name.
    #[track_caller]
    pub fn field(&self, name: &str) -> BTreeMap<String, String> {
        let fields = self.tags("input");
        let found = fields.iter().find(|field| field.get("name").is_some_and(|n| n == name));
        found.unwrap_or_else(|| panic!("no field {name} in {}", self.text)).clone()
    }

    /// The names of the fields that are seen, from top to bottom.
    pub fn fields(&self) -> Vec<String> {
        let seen = |field: &BTreeMap<String, String>| {
            !field.contains_key("hidden") && field.get("type").is_none_or(|kind| kind != "hidden")
        };
        self.tags("input")
            .into_iter()
            .filter(seen)
            .filter_map(|mut field| field.remove("name"))
            .collect()
    }

    /// The names of the fields that are marked as wrong.
    pub fn wrong_fields(&self) -> Vec<String> {
        let wrong = self.tags("input").into_iter();
        let wrong = wrong.filter(|field| field.contains_key("aria-invalid"));
        wrong.filter_map(|mut field| field.remove("name")).collect()
    }

    /// All words that are seen.
    pub fn words(&self) -> String {
        let tags = Regex::new(r"<[^>]*>").unwrap();
        let plain = tags.replace_all(&self.text, " ");
        unescape(&plain.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// The text of the first element with this role.
    pub fn said(&self, role: &str) -> String {
        let element =
            Regex::new(&format!(r#"(?s)<div class="[a-z]+" role="{role}".*?</div>"#)).unwrap();
        let tags = Regex::new(r"<[^>]*>").unwrap();
        let found = element.find(&self.text).map_or("", |found| found.as_str());
        unescape(
            tags.replace_all(found, " ").split_whitespace().collect::<Vec<_>>().join(" ").as_str(),
        )
    }

    fn hidden_fields(&self, action: &str) -> Vec<(String, String)> {
        let action = action.split('?').next().unwrap();
        let form = Regex::new(&format!(
            r#"(?s)<main.*?(<form method="post" action="{}".*?</form>)"#,
            regex::escape(action)
        ));
        let form = form.unwrap();
        let form = form.captures(&self.text).unwrap_or_else(|| panic!("no form in {}", self.text));
        let part =
            Page { status: self.status, headers: HeaderMap::new(), text: form[1].to_owned() };
        part.tags("input")
            .into_iter()
            .filter_map(|mut field| Some((field.remove("name")?, field.remove("value")?)))
            .collect()
    }
}

fn unescape(html: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
        ("&#x2f;", "/"),
    ]
    .iter()
    .fold(html.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
    .replace("&amp;", "&")
}
