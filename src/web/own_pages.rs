//! The face that the own pages show to the gateway: a finished request in, a finished answer out.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::notice::Notices;
use super::{ErrorKind, ErrorPages, LoginNames, PagesSettings, Visitor, pages};
use crate::flows::Services;

/// Own pages, error pages, and what is put into the portal's pages.
pub struct OwnPages {
    router: Router,
    errors: ErrorPages,
    notices: Notices,
}

impl OwnPages {
    /// Prepares texts and templates once.
    pub fn new(services: Arc<Services>, settings: PagesSettings, login_names: LoginNames) -> Self {
        Self {
            errors: ErrorPages::new(&settings),
            notices: Notices::new(&settings),
            router: pages(services, settings, login_names),
        }
    }

    /// Answers a request for one of our pages.
    pub async fn answer(&self, request: Request<Bytes>, visitor: Visitor) -> Response<Bytes> {
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

    /// The page, or problem document, for a request that gets no answer of its own.
    pub fn error(&self, kind: ErrorKind, wants_json: bool) -> Response<Bytes> {
        self.errors.page(kind, wants_json)
    }

    /// What is put into the portal's pages.
    pub fn notices(&self) -> &Notices {
        &self.notices
    }
}
