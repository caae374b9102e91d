//! An application that uses the PBX's API, as softphones do: it asks for tokens, and calls.

use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, multipart};
use serde_json::{Map, Value};

use super::Gateway;

/// Id and secret of the application, as the PBX knows them.
pub const APP: (&str, &str) = ("officevoice-app", "0ff1ce-v01ce-5ecret");
/// Version 1 of the token endpoint.
pub const TOKEN: &str = "/ns-api/oauth2/token";
/// Stands in every request in places that nobody asks for: it must never reach the PBX.
pub const MARK: &str = "client-bytes-7";

/// An application; it has no cookies.
pub struct App {
    pub http: reqwest::Client,
    pub base: String,
    client: (String, String),
}

/// What a token endpoint said.
#[derive(Debug, Clone)]
pub struct Said {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

/// The shapes that clients use (R-F1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Form,
    FormWithSlash,
    FormAndBasic,
    Multipart,
    Json,
    QueryAndEmptyPost,
    GetWithQuery,
    VersionTwo,
}

impl Shape {
    pub const ALL: [Self; 8] = [
        Self::Form,
        Self::FormWithSlash,
        Self::FormAndBasic,
        Self::Multipart,
        Self::Json,
        Self::QueryAndEmptyPost,
        Self::GetWithQuery,
        Self::VersionTwo,
    ];
}

impl Gateway {
    /// An application at this gateway.
    pub fn app(&self) -> App {
        let browser = self.client();
        let client = (APP.0.to_owned(), APP.1.to_owned());
        App { http: browser.http, base: browser.base, client }
    }
}

impl App {
    /// The same with another id and secret.
    pub fn called(self, id: &str, secret: &str) -> Self {
        Self { client: (id.into(), secret.into()), ..self }
    }

    /// Asks for tokens with a login name and a secret.
    pub async fn log_in(&self, login: &str, secret: &str) -> Said {
        self.ask(&[("grant_type", "password"), ("username", login), ("password", secret)]).await
    }

    /// Asks for new tokens.
    pub async fn refresh(&self, token: &str) -> Said {
        self.ask(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// Asks with these fields and its id and secret, as a form.
    pub async fn ask(&self, fields: &[(&str, &str)]) -> Said {
        self.ask_in(Shape::Form, fields).await
    }

    /// The same in another shape.
    pub async fn ask_in(&self, shape: Shape, fields: &[(&str, &str)]) -> Said {
        self.send(self.request(shape, fields)).await
    }

    fn request(&self, shape: Shape, fields: &[(&str, &str)]) -> RequestBuilder {
        let client = [("client_id", &*self.client.0), ("client_secret", &*self.client.1)];
        let mark = [("note", MARK)];
        let alone = [fields, &mark].concat();
        let all = [fields, &client, &mark].concat();
        let json = |fields: &[(&str, &str)]| {
            let members = fields.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            Value::Object(members.collect::<Map<_, _>>())
        };
        let post = |path: &str| self.http.post(format!("{}{path}", self.base));
        let request = match shape {
            Shape::Form => post(TOKEN).form(&all),
            Shape::FormWithSlash => post(&format!("{TOKEN}/")).form(&all),
            Shape::FormAndBasic => {
                post(TOKEN).basic_auth(&self.client.0, Some(&self.client.1)).form(&alone)
            }
            Shape::Multipart => {
                let form = all.iter().fold(multipart::Form::new(), |form, (name, value)| {
                    form.text((*name).to_owned(), (*value).to_owned())
                });
                post(TOKEN).multipart(form)
            }
            Shape::Json => post(TOKEN).json(&json(&all)),
            Shape::QueryAndEmptyPost => post(TOKEN).query(&all),
            Shape::GetWithQuery => self.http.get(format!("{}{TOKEN}", self.base)).query(&all),
            Shape::VersionTwo => post("/ns-api/v2/tokens").json(&json(&all)),
        };
        request.header("x-note", MARK).header("cookie", format!("note={MARK}"))
    }

    /// Sends a request to a token endpoint. Whatever comes back is JSON.
    pub async fn send(&self, request: RequestBuilder) -> Said {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text);
        let body = body.unwrap_or_else(|_| panic!("{status}: no JSON: {text}"));
        Said { status, headers, body }
    }
}

impl Said {
    /// The tokens that it must hold: for calls, and for new ones.
    pub fn tokens(&self) -> (String, String) {
        assert_eq!(self.status, 200, "{self:?}");
        let token = |name: &str| self.body[name].as_str().unwrap_or_else(|| panic!("{self:?}"));
        (token("access_token").to_owned(), token("refresh_token").to_owned())
    }

    /// Its error, which it must have.
    pub fn error(&self) -> &str {
        assert_ne!(self.status, 200, "{self:?}");
        self.body["error"].as_str().unwrap_or_else(|| panic!("{self:?}"))
    }

    /// The words of its error.
    pub fn words(&self) -> &str {
        self.body["error_description"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// What every answer of a token endpoint has (RFC 6749 §5.1).
    pub fn check_form(&self) {
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(self.header("pragma"), Some("no-cache"), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
    }
}

impl App {
    /// One's own record, asked for with a bearer token.
    pub async fn own_record(&self, token: &str) -> Said {
        let url = format!("{}/ns-api/v2/domains/~/users/~", self.base);
        self.send(self.http.get(url).bearer_auth(token)).await
    }
}
