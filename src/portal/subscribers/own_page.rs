//! Writing a PIN on the portal's own page, with the user's own session.

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use http_body_util::Full;

use super::verdict;
use crate::domain::jar::Jar;
use crate::domain::secret::Secret;
use crate::portal::client::NoAnswer;
use crate::portal::page_form::{self, PageForm};
use crate::portal::upstream::{Upstream, Visitor, set_cookies};
use crate::ports::{OwnSession, PinWritten, Unavailable};
use crate::profile::{FirstResponse, OwnPage, Profile};

/// A longer page would be cut off, and a field after the cut would be lost for the user.
const PAGE_LIMIT: usize = 2 * 1024 * 1024;

/// Opens the page and sends its form back with the PIN, all else as it was.
pub(super) async fn write_pin(
    profile: &Profile,
    upstream: &Upstream,
    page: &OwnPage,
    own: &OwnSession<'_>,
    pin: &Secret,
) -> PinWritten {
    match opened(profile, upstream, page, own).await {
        Ok(form) => submitted(upstream, page, own, form, pin).await.unwrap_or_else(|no_answer| {
            match no_answer {
                NoAnswer::NotSent(outage) => PinWritten::NotAsked(outage),
                NoAnswer::Lost(outage) => PinWritten::Unclear(outage),
            }
        }),
        Err(outage) => PinWritten::NotAsked(outage),
    }
}

/// The page's form, ready to be sent back.
struct Opened {
    form: PageForm,
    /// Path and query that it goes to.
    target: String,
    cookies: Jar,
}

async fn opened(
    profile: &Profile,
    upstream: &Upstream,
    page: &OwnPage,
    own: &OwnSession<'_>,
) -> Result<Opened, Unavailable> {
    let visitor = visitor_of(own);
    let wrong = |detail: String| Unavailable::new("pbx", detail);
    let asked = upstream.url(own.server, page.path())?;
    let mut cookies = own.jar.clone();
    let request = upstream.request("GET", &asked, &visitor, &cookies)?;
    let answer = upstream.send(request, PAGE_LIMIT).await?;
    let location = answer.headers.get(LOCATION).map(|at| String::from_utf8_lossy(at.as_bytes()));
    let status = answer.status;
    if profile.session_expired_with_body(status.as_u16(), location.as_deref(), &answer.body) {
        return Err(wrong("the user's own session has ended there".to_owned()));
    }
    if !status.is_success() {
        return Err(wrong(format!("its page {} answered {status}", page.path())));
    }
    if answer.body.len() >= PAGE_LIMIT || std::str::from_utf8(&answer.body).is_err() {
        let why = "is too long, or not in UTF-8, to be sent back unharmed";
        return Err(wrong(format!("its page {} {why}", page.path())));
    }
    for set_cookie in set_cookies(&answer.headers) {
        cookies.take(&set_cookie);
    }
    let form = page_form::find(&answer.body, page.fields());
    let Some(form) = form.filter(|form| form.is_posted) else {
        let fields = page.fields().join("`, `");
        return Err(wrong(format!("its page {} has no form to post with `{fields}`", page.path())));
    };
    let target = match &form.action {
        Some(action) => upstream.place(action, &asked, own.host),
        None => Some(page.path().to_owned()),
    };
    match target.filter(|target| target.starts_with('/')) {
        Some(target) => Ok(Opened { form, target, cookies }),
        None => Err(wrong(format!("the form of its page {} leads elsewhere", page.path()))),
    }
}

async fn submitted(
    upstream: &Upstream,
    page: &OwnPage,
    own: &OwnSession<'_>,
    opened: Opened,
    pin: &Secret,
) -> Result<PinWritten, NoAnswer> {
    let visitor = visitor_of(own);
    let asked = upstream.url(own.server, &opened.target).map_err(NoAnswer::NotSent)?;
    let mut request =
        upstream.request("POST", &asked, &visitor, &opened.cookies).map_err(NoAnswer::NotSent)?;
    upstream
        .put_origin(request.headers_mut(), own.server, &visitor, page.path())
        .map_err(NoAnswer::NotSent)?;
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(CONTENT_TYPE, form);
    *request.body_mut() = Full::new(Bytes::from(body_of(&opened.form, page, pin)));
    let answer = upstream.send_once(request, PAGE_LIMIT).await?;
    let location = upstream.location(&answer, &asked, own.host);
    let judgement = page.judge(&FirstResponse {
        status: answer.status.as_u16(),
        location: location.as_deref(),
        body: &answer.body,
        ..FirstResponse::default()
    });
    let written = verdict::of(judgement, answer.status);
    Ok(written.unwrap_or_else(|| verdict::refused(answer.status)))
}

fn body_of(form: &PageForm, page: &OwnPage, pin: &Secret) -> String {
    let mut body = Serializer::new(String::new());
    for (name, value) in &form.values {
        let takes_pin = page.fields().contains(name);
        body.append_pair(name, if takes_pin { pin.expose() } else { value });
    }
    body.finish()
}

fn visitor_of<'a>(own: &OwnSession<'a>) -> Visitor<'a> {
    Visitor { host: own.host, user_agent: own.user_agent, client: Some(own.client) }
}
