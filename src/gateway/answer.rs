//! Steps 8 and 9: what the client gets to see of the PBX's answer, and the record of it.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{StatusCode, Version};
use parking_lot::Mutex;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::exchange::{Exchange, Watch};
use super::intercept::{self, Landing};
use super::limit::Quota;
use super::notice::BrokenPage;
use super::pipeline::Pipeline;
use super::security_headers::SecurityHeaders;
use super::{cookies, cors, entry, gate, insertion, redaction, visitor};
use crate::domain::session::Standing;
use crate::flows::challenge;
use crate::profile::{FirstResponse, Judgement};
use crate::telemetry::access::{self, AccessLine};
use crate::web::kept_form;

/// The `Cookie` fields of a request (h2 may send several).
pub(super) fn cookie_fields(head: &RequestHeader) -> impl Iterator<Item = &[u8]> {
    head.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes)
}

/// Rewrites the header of the PBX's answer.
pub(super) async fn header(
    pipeline: &Pipeline,
    session: &mut Session,
    head: &mut ResponseHeader,
    ctx: &mut Exchange,
) -> pingora::Result<()> {
    let set = take_cookies(pipeline, head, ctx)?;
    rewrite_locations(pipeline, session, head)?;
    if ctx.answers_challenge {
        judge_challenge(pipeline, session, head, ctx, &set).await?;
    }
    if head.status == StatusCode::SWITCHING_PROTOCOLS
        && let (Some(live), Some(connection)) = (ctx.session(), &ctx.connection)
    {
        ctx.watch = Some(Watch::new(live, connection));
    }
    ctx.streams_events = ctx.jar.is_some() && is_event_stream(head);
    redact(session, head, ctx)?;
    insertion::begin(pipeline, session, head, ctx)?;
    end_with_connection(session, head);
    if ctx.jar.is_some() || ctx.machine.is_some() || ctx.passes_until.is_some() {
        keep_private(head)?;
    }
    for name in SecurityHeaders::unwanted() {
        head.remove_header(&name);
    }
    let missing: Vec<_> = pipeline.settings.security_headers.missing(&head.headers).collect();
    for (name, value) in missing {
        head.insert_header(name, value)?;
    }
    if ctx.is_plain() {
        // Not to be sent without TLS (RFC 6797 §7.2).
        head.remove_header(&header::STRICT_TRANSPORT_SECURITY);
    }
    if let Some((name, value)) = ctx.quota.as_ref().map(Quota::field) {
        head.append_header(name, value)?;
    }
    let request = session.req_header();
    if request.headers.contains_key(header::ORIGIN) {
        let path = request.uri.path();
        for (name, value) in cors::missing(&pipeline.profile, path, &request.headers, &head.headers)
        {
            head.append_header(name, value)?;
        }
    }
    for cookie in std::mem::take(&mut ctx.set_cookies) {
        head.append_header(header::SET_COOKIE, cookie)?;
    }
    Ok(())
}

/// Passes or rewrites a piece of the body.
pub(super) fn body(
    pipeline: &Pipeline,
    body: &mut Option<Bytes>,
    end_of_stream: bool,
    ctx: &mut Exchange,
) -> pingora::Result<()> {
    if ctx.streams_events
        && let Some(live) = ctx.session()
        && !gate::reaches_portal(&pipeline.services, live)
    {
        // Such a stream may last for days; nothing more is told to who was signed out (R-A6).
        return Err(Error::explain(ErrorType::ConnectionClosed, "session over").into_down());
    }
    if ctx.passes_until.is_some_and(|until| pipeline.services.clock.now() >= until) {
        return Err(Error::explain(ErrorType::ConnectionClosed, "token over").into_down());
    }
    if ctx.withholds_body {
        *body = None;
        return Ok(());
    }
    if let Some(redactor) = ctx.redactor.as_mut().map(Mutex::get_mut) {
        let client = ctx.client;
        let out = redactor.push(body.take().unwrap_or_default());
        let out = out.map_err(|error| unreadable(client, error))?;
        *body = Some(if end_of_stream {
            let rest = redactor.finish().map_err(|error| unreadable(client, error))?;
            if rest.is_empty() { out } else { [out, rest].concat().into() }
        } else {
            out
        });
    }
    let Some(injector) = ctx.injector.as_mut().map(Mutex::get_mut) else { return Ok(()) };
    let broken = |error: BrokenPage| {
        let mut error = Error::because(ErrorType::InternalError, "page not changed", error);
        error.as_up();
        error
    };
    let out = injector.push(body.take().unwrap_or_default()).map_err(broken)?;
    *body = if end_of_stream {
        let rest = injector.finish().map_err(broken)?;
        ctx.injector = None;
        Some(if out.is_empty() { rest } else { [out, rest].concat().into() })
    } else {
        Some(out)
    };
    Ok(())
}

/// Begins to take out what users do not get to see, where the profile says so.
fn redact(session: &Session, head: &mut ResponseHeader, ctx: &mut Exchange) -> pingora::Result<()> {
    let Some(rule) = &ctx.redacts else { return Ok(()) };
    let request = session.req_header();
    let begun = redaction::begin(rule, &request.method, head.status, &head.headers);
    if let Some(tag) = head.headers.get(header::ETAG).and_then(redaction::weakened) {
        head.insert_header(header::ETAG, tag)?;
    }
    let Some(redactor) = begun.map_err(|error| unreadable(ctx.client, error))? else {
        return Ok(());
    };
    for name in &redaction::RESPONSE_FIELDS_THAT_GO {
        head.remove_header(name);
    }
    if request.version == Version::HTTP_11 {
        head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    ctx.redactor = Some(Mutex::new(redactor));
    Ok(())
}

/// An answer that may hold what users do not get to see: not let through, or no further.
fn unreadable(client: IpAddr, error: redaction::Unreadable) -> Box<Error> {
    tracing::warn!(%client, %error, "an answer was not let through");
    let mut error = Error::because(ErrorType::InternalError, "answer not read", error);
    error.as_up();
    error
}

/// Counts the request and writes its line.
pub(super) fn record(
    pipeline: &Pipeline,
    session: &Session,
    error: Option<&Error>,
    ctx: &mut Exchange,
) {
    if !ctx.in_flight {
        return;
    }
    let head = session.req_header();
    let status = session.response_written().map_or(0, |response| response.status.as_u16());
    let took = ctx.began.elapsed();
    pipeline.metrics.request_ended(ctx.label, head.method.as_str(), status, took);
    if let Some(error) = error {
        tracing::debug!(client = %ctx.client, %error, "request ended with an error");
    }
    if access::enabled() {
        access::record(&AccessLine {
            client: Some(ctx.client),
            method: head.method.as_str(),
            route: ctx.label.as_str(),
            path: head.uri.path(),
            status,
            bytes: session.body_bytes_sent() as u64,
            duration: took,
            request_id: request_id(ctx.number).as_str(),
            machine: ctx.machine.as_ref().map(|machine| machine.name()),
        });
    }
}

/// A request's number as it is written: in the access log, and to the PBX in `X-Request-Id`.
pub(super) fn request_id(number: u64) -> RequestId {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    for (at, digit) in text.iter_mut().enumerate() {
        *digit = DIGITS[(number >> (60 - 4 * at)) as usize & 0xf];
    }
    RequestId(text)
}

/// Sixteen hexadecimal digits. (Not formatted by `core::fmt`: every request needs it.)
pub(super) struct RequestId([u8; 16]);

impl RequestId {
    /// As text.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn is_event_stream(head: &ResponseHeader) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().get(..EVENTS.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS))
    })
}

/// What became of the PBX's cookies, for the judge of a challenge.
#[derive(Debug, Default)]
struct CookiesSet {
    names: Vec<String>,
    changed: Vec<String>,
}

/// Takes the PBX's session cookies into the jar, throws away those that would log in around us,
/// and lets the others pass without `Domain` and with `Secure`.
fn take_cookies(
    pipeline: &Pipeline,
    head: &mut ResponseHeader,
    ctx: &mut Exchange,
) -> pingora::Result<CookiesSet> {
    let mut set = CookiesSet::default();
    if !head.headers.contains_key(header::SET_COOKIE) {
        return Ok(set);
    }
    let sent: Vec<HeaderValue> = head.headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    head.remove_header(&header::SET_COOKIE);
    let mut for_jar = Vec::new();
    for value in &sent {
        let Some(name) = cookies::set_cookie_name(value.as_bytes())
            .and_then(|name| std::str::from_utf8(name).ok())
        else {
            continue;
        };
        if pipeline.profile.keeps_in_jar(name) {
            if let Ok(text) = value.to_str() {
                for_jar.push(text);
                set.names.push(name.to_owned());
            }
        } else if !pipeline.profile.drops_cookie(name)
            && let Some(passed) = cookies::passed_set_cookie(value.as_bytes())
            && let Ok(passed) = HeaderValue::from_bytes(&passed)
        {
            head.append_header(header::SET_COOKIE, passed)?;
        }
    }
    if !for_jar.is_empty() {
        fill_jar(pipeline, ctx, &for_jar, &mut set);
    }
    Ok(set)
}

fn fill_jar(pipeline: &Pipeline, ctx: &mut Exchange, taken: &[&str], set: &mut CookiesSet) {
    let mut take_all = |jar: &mut crate::domain::jar::Jar| {
        let before = jar.clone();
        let mut changed = false;
        for cookie in taken {
            changed |= jar.take(cookie);
        }
        set.changed = set
            .names
            .iter()
            .filter(|name| jar.value(name) != before.value(name))
            .cloned()
            .collect();
        changed
    };
    if let (Some(sent), Some(live)) = (&ctx.jar, ctx.session()) {
        if !live.record().is_portal() {
            // Applications have tokens; sessions that the PBX opens beside them are nobody's.
            return;
        }
        // Only into the jar that the request was sent with: a slow answer must not bring an old
        // PBX session back.
        if live.change_jar(sent.generation, take_all) {
            let (services, live) = (pipeline.services.clone(), live.clone());
            // One save at a time waits for the store, however often the PBX renews its cookies.
            if !live.begin_saving_jar() {
                return;
            }
            tokio::spawn(async move {
                live.jar_is_read();
                if let Err(error) = services.sessions.save_jar(&live).await {
                    tracing::error!(%error, "a renewed PBX session could not be stored");
                }
            });
        }
    } else if let Some(visitor) = &mut ctx.visitor
        && take_all(visitor)
    {
        ctx.set_cookies
            .extend(HeaderValue::try_from(visitor::seal(&*pipeline.services.vault, visitor)));
    }
}

fn rewrite_locations(
    pipeline: &Pipeline,
    session: &Session,
    head: &mut ResponseHeader,
) -> pingora::Result<()> {
    let host = entry::host(session.req_header());
    let names = &pipeline.settings.names;
    for name in [header::LOCATION, header::CONTENT_LOCATION, header::REFRESH] {
        let rewritten = match head.headers.get(&name).map(HeaderValue::to_str) {
            Some(Ok(value)) if name == header::REFRESH => names.refresh(value, host),
            Some(Ok(value)) => names.location(value, host),
            _ => continue,
        };
        let rewritten = rewritten.into_owned();
        head.insert_header(name, rewritten)?;
    }
    Ok(())
}

/// Judges the PBX's answer to a step of its second question. Only `accepted` makes a session of
/// it, under a new token.
async fn judge_challenge(
    pipeline: &Pipeline,
    session: &Session,
    head: &mut ResponseHeader,
    ctx: &mut Exchange,
    set: &CookiesSet,
) -> pingora::Result<()> {
    let location = head.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let first = FirstResponse {
        status: head.status.as_u16(),
        location,
        cookies_set: &set.names,
        cookies_changed: &set.changed,
        body: &[],
    };
    if pipeline.profile.judge(pipeline.profile.primary_login(), &first) != Judgement::Accepted {
        return Ok(());
    }
    let Some(live) = ctx.session() else { return Ok(()) };
    let landing_place = location.map(str::to_owned);
    let place = match challenge::answered(&pipeline.services, live, ctx.client, landing_place).await
    {
        Ok(Some(opened)) => {
            ctx.set_cookies.extend(intercept::login::session_cookies(&opened));
            let settings = &pipeline.settings;
            let landing = Landing { home: &settings.home, prefix: &settings.prefix };
            match opened.standing {
                Standing::Full { .. } => {
                    kept_form::page_first(&session.req_header().headers, landing.prefix)
                }
                _ => Some(intercept::landing(&opened, &landing, None)),
            }
        }
        Ok(None) => Some(pipeline.profile.login_page().to_owned()),
        Err(outage) => {
            tracing::error!(error = %outage, "a challenge that was answered could not be completed");
            Some(pipeline.profile.login_page().to_owned())
        }
    };
    if let Some(place) = place {
        head.set_status(StatusCode::SEE_OTHER)?;
        head.insert_header(header::LOCATION, place)?;
        // What the PBX says to somebody who is signed in is not for somebody who is not.
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::TRANSFER_ENCODING] {
            head.remove_header(&name);
        }
        head.insert_header(header::CONTENT_LENGTH, "0")?;
        ctx.withholds_body = true;
    }
    Ok(())
}

/// Clients of HTTP/1.0 do not know chunks (RFC 9112 §6.1): an answer whose length is not known
/// ends with the connection.
fn end_with_connection(session: &mut Session, head: &mut ResponseHeader) {
    if session.req_header().version >= Version::HTTP_11 {
        return;
    }
    head.remove_header(&header::TRANSFER_ENCODING);
    if !head.headers.contains_key(header::CONTENT_LENGTH) {
        session.set_keepalive(None);
    }
}

/// Answers of a session are never for shared caches.
fn keep_private(head: &mut ResponseHeader) -> pingora::Result<()> {
    let kept = head.headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let is_private = kept.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("private") || value.contains("no-store")
    });
    if !is_private {
        let value = match kept {
            Some(value) => {
                let value = format!("private, {}", without_shared_directives(value));
                HeaderValue::try_from(value).map_err(|_| {
                    Error::explain(ErrorType::InternalError, "unreadable Cache-Control")
                })?
            }
            None => HeaderValue::from_static("private"),
        };
        head.insert_header(header::CACHE_CONTROL, value)?;
    }
    Ok(())
}

fn without_shared_directives(value: &str) -> String {
    let kept: Vec<&str> = value
        .split(',')
        .map(str::trim)
        .filter(|part| {
            let part = part.to_ascii_lowercase();
            part != "public" && !part.starts_with("s-maxage")
        })
        .collect();
    kept.join(", ")
}
