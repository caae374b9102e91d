//! Which of our words go into which page of the portal, and where.

use http::Version;
use http::header;
use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::exchange::{Exchange, Insertion};
use super::notice::{
    ContentCoding, InjectionPlan, Injector, PageSelector, Place, RESPONSE_FIELDS_THAT_GO,
    injectable,
};
use super::pipeline::Pipeline;
use super::{answer, cookies};
use crate::profile::PortalPages;
use crate::web::{cookies as own_cookies, flash};

/// The profile's places, ready to be looked for.
pub(super) struct Places {
    /// Where the notice goes; `None` is the beginning of the body.
    notice: Option<PageSelector>,
    login_message: PageSelector,
    username_input: PageSelector,
}

impl Places {
    /// Reads the profile's selectors; `Err` names the one that a streaming parser cannot match.
    pub(super) fn new(pages: &PortalPages) -> Result<Self, String> {
        let selector = |text: &str| -> Result<PageSelector, String> {
            text.parse().map_err(|error| format!("the selector `{text}` of the profile: {error}"))
        };
        Ok(Self {
            notice: (pages.notice != "body").then(|| selector(&pages.notice)).transpose()?,
            login_message: selector(&pages.login_message)?,
            username_input: selector(&pages.username_input)?,
        })
    }

    fn notice(&self, html: &str) -> InjectionPlan {
        match &self.notice {
            Some(selector) => InjectionPlan::new().at_or_end(selector, Place::Begin, html),
            None => InjectionPlan::new().at_body_begin(html),
        }
    }
}

/// Decides, once the answer's header is there, whether and how its body is changed.
pub(super) fn begin(
    pipeline: &Pipeline,
    session: &Session,
    head: &mut ResponseHeader,
    ctx: &mut Exchange,
) -> pingora::Result<()> {
    let Some(insertion) = ctx.insertion else { return Ok(()) };
    let request = session.req_header();
    if !injectable(&request.method, head.status, &head.headers) {
        return Ok(());
    }
    let Some(plan) = plan(pipeline, session, insertion, ctx) else { return Ok(()) };
    let coding = head.headers.get(header::CONTENT_ENCODING).map(http::HeaderValue::as_bytes);
    let Some(coding) = ContentCoding::of(coding) else { return Ok(()) };
    for name in &RESPONSE_FIELDS_THAT_GO {
        head.remove_header(name);
    }
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    if request.version == Version::HTTP_11 {
        head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    ctx.injector = Some(Mutex::new(Injector::new(plan, coding)));
    Ok(())
}

fn plan(
    pipeline: &Pipeline,
    session: &Session,
    insertion: Insertion,
    ctx: &mut Exchange,
) -> Option<InjectionPlan> {
    let notices = pipeline.pages.notices();
    match insertion {
        Insertion::Notice { days_left } => {
            Some(pipeline.places.notice(&notices.notice_html(days_left)))
        }
        Insertion::Message { prefill } => {
            let services = &pipeline.services;
            let sealed =
                cookies::find(answer::cookie_fields(session.req_header()), own_cookies::FLASH)?;
            // Shown or stale: either way it is not shown again.
            ctx.set_cookies.push(flash::remove());
            let flash = flash::parse(&*services.vault, sealed, services.clock.now())?;
            let message = notices.message_html(&flash.message);
            let places = &pipeline.places;
            if !prefill {
                return Some(places.notice(&message));
            }
            Some(
                InjectionPlan::new()
                    .at_or_end(&places.login_message, Place::Before, &message)
                    .input_value(&places.username_input, &flash.login),
            )
        }
    }
}
