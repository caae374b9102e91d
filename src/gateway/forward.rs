//! Step 7: what the PBX gets to see.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Version};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::api_refusal::ApiRefusal;
use super::credential_scan::ScanVerdict;
use super::exchange::Exchange;
use super::pipeline::Pipeline;
use super::sanitise::Forwarding;
use super::{answer, cookies, entry, insertion, redaction, rewrite};
use crate::domain::grant::GrantKind;
use crate::domain::kept_form::KeptForm;
use crate::telemetry::metrics::Route as RouteLabel;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whether the request asks for a WebSocket (RFC 6455 §4.1). Pingora forwards no other upgrade.
pub(super) fn asks_websocket(head: &RequestHeader) -> bool {
    head.version == Version::HTTP_11
        && head
            .headers
            .get(header::UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Whether the request opens a stream of events: browsers open it again and again by themselves.
pub(super) fn asks_event_stream(head: &RequestHeader) -> bool {
    head.headers
        .get(header::ACCEPT)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// Completes the header that goes to the PBX: its own session cookies instead of ours, our word
/// about the client, and nothing that would keep a notice out of the page.
pub(super) fn prepare(
    pipeline: &Pipeline,
    session: &Session,
    upstream: &mut RequestHeader,
    ctx: &mut Exchange,
) -> pingora::Result<()> {
    let head = session.req_header();
    let jar_header = match (&ctx.jar, &ctx.visitor) {
        (Some(jar), _) => jar.header.clone(),
        (None, Some(visitor)) => visitor.header(),
        (None, None) => None,
    };
    let outgoing = cookies::outgoing(
        answer::cookie_fields(head),
        pipeline.profile.jar_cookies(),
        jar_header.as_deref(),
    );
    match outgoing {
        Some(value) => {
            let value = HeaderValue::from_bytes(&value)
                .map_err(|_| Error::explain(ErrorType::HTTPStatus(400), "unreadable cookie"))?;
            upstream.insert_header(header::COOKIE, value)?;
        }
        None => {
            upstream.remove_header(&header::COOKIE);
        }
    }

    show_family(upstream, ctx)?;
    let host = entry::host(head);
    if let Some(machine) = &ctx.machine {
        machine.ready(upstream)?;
    }
    let https = pipeline.settings.https && !ctx.is_plain();
    let forwarding = Forwarding { client: ctx.client, https, host };
    for (name, value) in forwarding.headers() {
        upstream.insert_header(name, value)?;
    }
    upstream.insert_header(REQUEST_ID, answer::request_id(ctx.number).as_str())?;
    if let Some(form) = &ctx.resent {
        resend(upstream, form, host)?;
    }
    match &pipeline.settings.fixed_origin {
        Some(fixed) => {
            upstream.insert_header(header::HOST, fixed.host.as_str())?;
            for name in [header::ORIGIN, header::REFERER] {
                let renamed =
                    upstream.headers.get(&name).and_then(|value| value.to_str().ok()).map(
                        |value| rewrite::for_upstream(value, host, &fixed.origin).into_owned(),
                    );
                if let Some(value) = renamed {
                    upstream.insert_header(name, value)?;
                }
            }
        }
        None if head.headers.get(header::HOST).is_none() && !host.is_empty() => {
            upstream.insert_header(header::HOST, host)?;
        }
        None => {}
    }
    if ctx.redacts.is_some() {
        for name in redaction::REQUEST_FIELDS_THAT_GO {
            upstream.remove_header(&name);
        }
    }
    match ctx.insertion {
        Some(insertion) => insertion::ask(upstream, insertion),
        None => Ok(()),
    }
}

/// Puts in what the PBX knows an application by, in the place of what the application shows; in mode
/// `pass` that is the same.
fn show_family(upstream: &mut RequestHeader, ctx: &Exchange) -> pingora::Result<()> {
    let grant = ctx.session().and_then(|live| live.record().grant.as_ref());
    if grant.is_none_or(|grant| grant.kind == GrantKind::Pass) {
        return Ok(());
    }
    let access = ctx.jar.as_ref().and_then(|jar| jar.access.as_ref());
    let value = access.and_then(|access| {
        HeaderValue::from_str(access.authorization.expose()).ok().filter(|value| !value.is_empty())
    });
    let Some(mut value) = value else {
        return Error::e_explain(ErrorType::InternalError, "a family without access to the PBX");
    };
    value.set_sensitive(true);
    upstream.insert_header(header::AUTHORIZATION, value)?;
    Ok(())
}

/// Makes the request that of a form which was sent too late: as it was sent, from the page where it
/// was filled in.
fn resend(upstream: &mut RequestHeader, form: &KeptForm, host: &str) -> pingora::Result<()> {
    upstream.insert_header(header::CONTENT_TYPE, form.content_type.as_str())?;
    upstream.insert_header(header::CONTENT_LENGTH, form.body.len())?;
    for name in [header::TRANSFER_ENCODING, header::CONTENT_ENCODING, header::EXPECT] {
        upstream.remove_header(&name);
    }
    upstream.insert_header(header::ORIGIN, format!("https://{host}"))?;
    match &form.referer {
        Some(referer) => upstream.insert_header(header::REFERER, referer.as_str())?,
        None => {
            upstream.remove_header(&header::REFERER);
        }
    }
    Ok(())
}

/// Looks at each piece of a body before it goes on (step 7), and notes a user's activity on a
/// WebSocket (R-C4).
pub(super) fn body(
    pipeline: &Pipeline,
    session: &mut Session,
    body: &mut Option<Bytes>,
    end_of_stream: bool,
    ctx: &mut Exchange,
) -> pingora::Result<()> {
    if ctx.passes_until.is_some_and(|until| pipeline.services.clock.now() >= until) {
        return Err(Error::explain(ErrorType::ConnectionClosed, "token over").into_down());
    }
    if ctx.watch.is_some() {
        if body.as_ref().is_some_and(|data| super::websocket::is_interaction(data))
            && let Some(live) = ctx.session()
        {
            live.touch(pipeline.services.clock.now());
        }
        return Ok(());
    }
    watch_over_body(session, body.is_some(), end_of_stream, ctx);
    if let Some(form) = &mut ctx.resent {
        // The button's own fields stay here.
        let fields = if end_of_stream { std::mem::take(&mut form.body) } else { String::new() };
        *body = Some(fields.into());
    }
    let Some(scan) = &mut ctx.scan else { return Ok(()) };
    let verdict = match body {
        Some(piece) => scan.push(piece),
        None => ScanVerdict::Clean,
    };
    let verdict =
        if end_of_stream && verdict == ScanVerdict::Clean { scan.finish() } else { verdict };
    match verdict {
        ScanVerdict::Clean => {}
        ScanVerdict::Hit => {
            tracing::warn!(client = %ctx.client, "credential fields outside the login were refused");
            if ctx.label == RouteLabel::Api {
                ctx.refusal = Some(ApiRefusal::Misplaced);
            }
            return Error::e_explain(ErrorType::HTTPStatus(403), "credentials outside the login");
        }
        ScanVerdict::TooLarge => {
            return Error::e_explain(ErrorType::HTTPStatus(413), "form too large");
        }
    }
    if scan.wants_whole_body() {
        // A form is acted upon as a whole: nothing of it goes on before all names were seen.
        if let Some(piece) = body.take()
            && !ctx.held.push(&piece, ctx.jar.is_some(), &pipeline.held)
        {
            return Error::e_explain(ErrorType::HTTPStatus(413), "form too large");
        }
        // While there is nothing to send it is empty: without one, the body would be at its end.
        *body = match end_of_stream {
            true => ctx.held.take(),
            false => Some(Bytes::new()),
        };
    }
    Ok(())
}

/// Pingora has no limit for a body that stalls on h2.
fn watch_over_body(session: &Session, has_begun: bool, end_of_stream: bool, ctx: &mut Exchange) {
    let head = session.req_header();
    let never_has_one = matches!(head.method, Method::GET | Method::HEAD);
    if head.version != Version::HTTP_2 || never_has_one && !has_begun && ctx.body_watch.is_none() {
        return;
    }
    if end_of_stream {
        ctx.body_watch = None;
        return;
    }
    match (&ctx.body_watch, &ctx.connection) {
        (Some(watch), _) => watch.progress(),
        (None, Some(connection)) => ctx.body_watch = Some(connection.watch_body()),
        (None, None) => {}
    }
}
