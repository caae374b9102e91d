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
use crate::web::flash::Flash;
use crate::web::{cookies as own_cookies, flash};

/// The profile's places, ready to be looked for.
pub(super) struct Places {
    /// Where the notice goes; `None` is the beginning of the body.
    notice: Option<PageSelector>,
    login_links: PageSelector,
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
            login_links: selector(&pages.login_links)?,
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
    let notices = pipeline.face(session, ctx).notices();
    match insertion {
        Insertion::Notice { days_left } => {
            Some(pipeline.places.notice(&notices.notice_html(days_left)))
        }
        Insertion::Message => {
            let left = left_for_it(pipeline, session, ctx)?;
            Some(pipeline.places.notice(&notices.message_html(&left.message)))
        }
        Insertion::LoginPage => {
            let places = &pipeline.places;
            let mut plan = InjectionPlan::new();
            if let Some(links) = notices.links_html() {
                plan = plan.at(&places.login_links, Place::After, &links);
            }
            if let Some(left) = left_for_it(pipeline, session, ctx) {
                let message = notices.message_html(&left.message);
                plan = plan
                    .at_or_end(&places.login_message, Place::Before, &message)
                    .input_value(&places.username_input, &left.login);
            }
            (!plan.is_empty()).then_some(plan)
        }
    }
}

/// The message that was left for this page. Shown or stale: either way it is not shown again.
fn left_for_it(pipeline: &Pipeline, session: &Session, ctx: &mut Exchange) -> Option<Flash> {
    let services = &pipeline.services;
    let sealed = cookies::find(answer::cookie_fields(session.req_header()), own_cookies::FLASH)?;
    ctx.set_cookies.push(flash::remove());
    flash::parse(&*services.vault, sealed, services.clock.now())
}
