//! The bridge to our own pages: a bounded body in, a finished answer out.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri, header};

use super::Sender;
use crate::gateway::cookies;
use crate::web::{OwnPages, Visitor};

/// Asks the page's handler.
pub(in crate::gateway) async fn answer(
    pages: &OwnPages,
    sender: &Sender,
    head: (Method, Uri, HeaderMap),
    body: Bytes,
) -> Response<Bytes> {
    let (method, uri, headers) = head;
    let sent = || headers.get_all(header::COOKIE).iter().map(http::HeaderValue::as_bytes);
    let visitor = Visitor {
        client: sender.client,
        user_agent: sender.user_agent.clone(),
        host: sender.host.clone(),
        session: sender.session.clone(),
        standing: sender.standing,
        device: cookies::find(sent(), cookies::DEVICE).map(str::to_owned),
        wants_json: !sender.wants_page,
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    pages.answer(request, visitor).await
}
