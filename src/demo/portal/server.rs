//! Accepts connections, records what comes, and finds the page that answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::fields::Fields;
use super::record::Note;
use super::{Failure, State, answer, api, controls, login, pages, paths, render, streams};

/// Most bytes of a body that is not an upload.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// The portal's end of one request.
pub(super) struct Call {
    pub(super) state: Arc<State>,
    /// The method, in capitals, after `X-HTTP-Method-Override` and `_method`.
    pub(super) method: String,
    /// The canonical path.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) fields: Fields,
    /// The id of the browser's session.
    pub(super) session: String,
    /// Whether the browser has to be told the id.
    pub(super) announce: bool,
    pub(super) note: Note,
    /// Updates of subscribers are carried out so much later ([`Failure::Later`]).
    pub(super) update_after: Option<Duration>,
}

impl Call {
    /// Login name of the user who is signed in.
    pub(super) fn user(&self) -> Option<String> {
        self.state.sessions.read(&self.session).user
    }
}

/// Closes a connection without an answer ([`Failure::Close`]).
#[derive(Debug, thiserror::Error)]
#[error("told to close the connection")]
struct Closed;

pub(super) async fn accept(listener: TcpListener, state: Arc<State>, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = state.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                tasks.spawn(connection(stream, peer, Arc::clone(&state)));
            }
            Err(error) => {
                // Out of descriptors, usually: give others time to close theirs.
                tracing::warn!(%error, "example portal cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, state: Arc<State>) {
    // Without it every small streamed piece would wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let stop = state.stop.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move { serve(state, peer, request.map(Body::new)).await }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        () = stop.cancelled() => {}
        // A client that goes away is no event worth a line.
        _ = connection => {}
    }
}

async fn serve(
    state: Arc<State>,
    peer: SocketAddr,
    request: Request<Body>,
) -> Result<Response<Body>, Closed> {
    let path = paths::canonical(request.uri().path());
    if state.options.controls && path.starts_with("/__portal/") {
        return Ok(controls::respond(&state, &path, request).await);
    }
    let note = state.record.begin(peer, &path, &request);
    let (parts, body) = request.into_parts();
    // Uploads are counted as they come; everything else is read first, so that it is in the record
    // even if the answer fails.
    let (body, stream) = if path == "/portal/upload" || streams::is_websocket(&path, &parts) {
        (Bytes::new(), body)
    } else {
        match axum::body::to_bytes(body, MAX_BODY).await {
            Ok(bytes) => (bytes, Body::empty()),
            Err(_) => return Ok(answer::plain(StatusCode::PAYLOAD_TOO_LARGE, "too large")),
        }
    };
    note.body(&body);
    state.record.count_body(body.len());
    let fault = state.faults.of(parts.method.as_str(), &path);
    match fault {
        Failure::Hang => std::future::pending().await,
        Failure::Close => return Err(Closed),
        Failure::Slow(time) => tokio::time::sleep(time).await,
        _ => {}
    }
    let mut response = match fault {
        Failure::Status(code) => trouble(code),
        _ => respond(&state, path, parts, &body, stream, note.clone(), fault).await,
    };
    match fault {
        Failure::CarriedOutThenClose => return Err(Closed),
        Failure::CarriedOutThenHang => std::future::pending().await,
        Failure::CarriedOutThen(code) => response = trouble(code),
        _ => {}
    }
    response
        .headers_mut()
        .insert(header::SERVER, HeaderValue::from_static("Apache/2.4.10 (Debian)"));
    note.add(|request| request.status = Some(response.status().as_u16()));
    Ok(response)
}

fn trouble(code: u16) -> Response<Body> {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer::plain(status, "Warning: mysql_connect(): Too many connections")
}

async fn respond(
    state: &Arc<State>,
    path: String,
    parts: Parts,
    body: &Bytes,
    stream: Body,
    note: Note,
    fault: Failure,
) -> Response<Body> {
    if let Some((kind, file)) = render::asset(&path) {
        let mut response =
            answer::validated(&parts.headers, kind, Bytes::from_static(file), "max-age=3600");
        finish(state, &parts.headers, &mut response);
        return response;
    }
    let sent = answer::cookie(&parts.headers, &state.options.session_cookie).map(str::to_owned);
    let is_portal = path == "/portal" || path.starts_with("/portal/");
    let (session, announce) = match is_portal {
        true => state.sessions.open(sent.as_deref()),
        false => (String::new(), false),
    };
    let fields = Fields::read(parts.uri.query(), &parts.headers, body);
    let mut call = Call {
        state: Arc::clone(state),
        method: method(&parts, &fields),
        path,
        headers: parts.headers.clone(),
        fields,
        session,
        announce,
        note,
        update_after: match fault {
            Failure::Later(time) => Some(time),
            _ => None,
        },
    };
    let user = call.user();
    call.note.add(|request| {
        request.session = sent;
        request.signed_in = user;
    });
    let mut response = if is_portal {
        portal(&mut call, parts, stream).await
    } else if call.path == "/ns-api" || call.path.starts_with("/ns-api/") {
        match streams::respond_to_app(&call, parts).await {
            Some(response) => response,
            None => api::respond(&call).await,
        }
    } else if call.path == "/" {
        answer::redirect("/portal/home")
    } else {
        pages::not_found(&call)
    };
    if call.announce {
        let name = &call.state.options.session_cookie;
        answer::set_cookie(&mut response, &call.headers, name, &call.session, "; HttpOnly");
    }
    finish(&call.state, &call.headers, &mut response);
    response
}

async fn portal(call: &mut Call, parts: Parts, stream: Body) -> Response<Body> {
    // Credentials are taken on any page, as FusionPBX and others do.
    if let Some(response) = login::credentials_anywhere(call) {
        return response;
    }
    if let Some(response) = login::respond(call) {
        return response;
    }
    if let Some(response) = streams::respond(call, parts, stream).await {
        return response;
    }
    pages::respond(call)
}

fn method(parts: &Parts, fields: &Fields) -> String {
    let header = parts.headers.get("x-http-method-override").and_then(|name| name.to_str().ok());
    let method = header.or_else(|| fields.value("_method")).unwrap_or(parts.method.as_str());
    method.trim().to_uppercase()
}

fn finish(state: &State, asked: &HeaderMap, response: &mut Response<Body>) {
    if state.options.gzip {
        answer::compress(asked, response);
    }
    let headers = response.headers_mut();
    headers.insert("x-powered-by", HeaderValue::from_static("PHP/5.6.40"));
    if state.options.strict_csp {
        let policy = "default-src 'self'; script-src 'self'; style-src 'self'; object-src 'none'";
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
}
