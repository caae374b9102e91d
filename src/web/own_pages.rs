//! The face that the own pages show to the gateway: a finished request in, a finished answer out.
//! There is one for every brand in every language; who asks decides which.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::ACCEPT_LANGUAGE;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::assets::Assets;
use super::look::{Look, Words};
use super::notice::Notices;
use super::oauth::OAuth;
use super::pages::{Pages, router};
use super::{Brands, ErrorKind, ErrorPages, LoginNames, Overrides, PagesSettings, Visitor};
use crate::domain::language::Language;
use crate::flows::Services;

/// Who is spoken to.
#[derive(Debug, Clone, Copy)]
pub struct Audience<'a> {
    /// Public host name of the request.
    pub host: &'a str,
    /// The tenant of the account that is signed in.
    pub tenant: Option<&'a str>,
    /// What the browser says about languages (`Accept-Language`).
    pub accept_language: Option<&'a str>,
}

impl<'a> Audience<'a> {
    /// Whoever sent these header fields.
    pub fn new(host: &'a str, tenant: Option<&'a str>, headers: &'a HeaderMap) -> Self {
        let accept_language = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Self { host, tenant, accept_language }
    }
}

/// Own pages, error pages, and what is put into the portal's pages.
pub struct OwnPages {
    brands: Brands,
    languages: Vec<Language>,
    /// Brand by brand, each in every language.
    faces: Vec<Face>,
    oauth: OAuth,
}

/// All of it for readers of one brand and one language.
pub struct Face {
    language: Language,
    router: Router,
    errors: ErrorPages,
    notices: Notices,
}

impl OwnPages {
    /// Prepares texts and templates once.
    pub fn new(
        services: &Arc<Services>,
        settings: PagesSettings,
        brands: Brands,
        overrides: &Overrides,
        login_names: &LoginNames,
    ) -> Self {
        let settings = Arc::new(settings);
        let assets = Arc::new(Assets::new(&brands));
        let languages = overrides.languages();
        let words: Vec<Words> =
            languages.iter().map(|language| Words::new(language.clone(), overrides)).collect();
        let looks = brands
            .iter()
            .flat_map(|brand| words.iter().map(|words| Look::new(&settings, brand, words)));
        let faces = looks
            .map(|look| Face {
                language: look.language().clone(),
                errors: ErrorPages::new(look.clone()),
                notices: Notices::new(look.clone()),
                router: router(Pages {
                    services: Arc::clone(services),
                    errors: ErrorPages::new(look.clone()),
                    look,
                    login_names: login_names.clone(),
                    assets: Arc::clone(&assets),
                }),
            })
            .collect();
        let oauth = OAuth::new(services, settings.oauth.clone(), &settings.prefix);
        Self { brands, languages, faces, oauth }
    }

    /// What somebody sees: in the brand of the account or the host, and in the language that the
    /// browser wants most; without one that we speak, in the brand's.
    pub fn face(&self, audience: Audience<'_>) -> &Face {
        let place = self.brands.place_for(audience.tenant, audience.host);
        let wanted = audience
            .accept_language
            .and_then(|header| Language::wanted(header, &self.languages))
            .or_else(|| self.brands.at(place).language.among(&self.languages));
        let language = wanted.and_then(|wanted| self.languages.iter().position(|l| l == wanted));
        &self.faces[place * self.languages.len() + language.unwrap_or_default()]
    }

    /// The public address under which users of `tenant`, else those of a host, know us.
    pub fn public_url(&self, tenant: Option<&str>, host: &str) -> &str {
        &self.brands.at(self.brands.place_for(tenant, host)).public_url
    }

    /// Answers a request for one of our pages.
    pub async fn answer(&self, request: Request<Bytes>, visitor: Visitor) -> Response<Bytes> {
        if self.oauth.has(request.uri().path()) {
            return self.oauth.answer(request, visitor).await;
        }
        let session = visitor.session.clone();
        let tenant = session.as_ref().map(|session| session.record().login.tenant());
        let audience = Audience::new(&visitor.host, tenant, request.headers());
        let face = self.face(audience);
        face.answer(request, visitor).await
    }
}

impl Face {
    async fn answer(&self, request: Request<Bytes>, visitor: Visitor) -> Response<Bytes> {
        let wants_json = visitor.wants_json;
        let mut request = request.map(Body::from);
        request.extensions_mut().insert(visitor);
        // The router's error type has no values: every request gets an answer.
        let Ok(response) = self.router.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        match body.collect().await {
            Ok(body) => Response::from_parts(parts, body.to_bytes()),
            Err(error) => {
                tracing::error!(%error, "a page could not be made");
                self.error(ErrorKind::Internal, wants_json)
            }
        }
    }

    /// The language of all of it.
    pub fn language(&self) -> &Language {
        &self.language
    }

    /// The page, or problem document, for a request that gets no answer of its own.
    pub fn error(&self, kind: ErrorKind, wants_json: bool) -> Response<Bytes> {
        self.errors.page(kind, wants_json)
    }

    /// What is put into the portal's pages.
    pub fn notices(&self) -> &Notices {
        &self.notices
    }
}
