//! Which of our words go into which page of the portal, and where.

use http::StatusCode;
use http::Version;
use http::header::{self, HeaderMap, HeaderValue};
use parking_lot::Mutex;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;

use super::client_kind::ClientKind;
use super::exchange::{Exchange, Insertion, Said};
use super::notice::{
    self, ContentCoding, InjectionPlan, Injector, PageSelector, Place, RESPONSE_FIELDS_THAT_GO,
    injectable,
};
use super::pipeline::Pipeline;
use super::route::Route;
use super::validators::{self, Mark};
use super::{answer, cookies};
use crate::domain::session::Standing;
use crate::profile::PortalPages;
use crate::web::flash::Flash;
use crate::web::notice::Additions;
use crate::web::{cookies as own_cookies, flash};

/// The profile's places, ready to be looked for.
pub(super) struct Places {
    /// Where the notice goes; `None` is the beginning of the body.
    notice: Option<PageSelector>,
    /// Where the link to account security goes, if somewhere.
    security_link: Option<(PageSelector, String)>,
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
        let link = pages.security_link.as_deref();
        let link = link.map(|text| Ok::<_, String>((selector(text)?, text.to_owned())));
        Ok(Self {
            notice: (pages.notice != "body").then(|| selector(&pages.notice)).transpose()?,
            security_link: link.transpose()?,
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

    /// The mark of what stands in every page of a session; `None` when that is nothing.
    fn mark(&self, additions: &Additions) -> Option<Mark> {
        let link = self.security_link.as_ref().zip(additions.security_link.as_deref());
        let script = additions.session_script.as_deref();
        if link.is_none() && script.is_none() {
            return None;
        }
        let (place, link) = link.map_or(("", ""), |((_, place), link)| (place.as_str(), link));
        Some(Mark::of([place, link, script.unwrap_or_default()]))
    }

    fn add(&self, mut plan: InjectionPlan, additions: &Additions) -> InjectionPlan {
        if let Some(script) = &additions.session_script {
            plan = plan.at_head_end(script);
        }
        if let (Some((place, _)), Some(link)) = (&self.security_link, &additions.security_link) {
            plan = plan.at(place, Place::End, link);
        }
        plan
    }
}

impl Pipeline {
    /// What is put into the page that answers this request, if a page does.
    pub(super) fn insertion(
        &self,
        session: &Session,
        route: &Route<'_>,
        ctx: &Exchange,
    ) -> Option<Insertion> {
        let head = session.req_header();
        let admitted = ctx.admitted.as_ref();
        let standing = admitted.map(|admitted| admitted.standing);
        let said = match (route, standing) {
            (Route::LoginPage, _) => Some(Said::LoginPage),
            (Route::Portal | Route::Challenge, Some(Standing::Full { notice: true })) => {
                let tenant = admitted.map(|admitted| admitted.session.record().login.tenant())?;
                let schedule = self.services.policies.rollout.schedule(tenant);
                let days_left = schedule.days_left(self.services.clock.now());
                Some(Said::Notice { days_left })
            }
            (Route::Portal, Some(Standing::Full { notice: false })) => {
                cookies::find(answer::cookie_fields(head), own_cookies::FLASH)
                    .map(|_| Said::Message)
            }
            _ => None,
        };
        let inside = matches!((route, standing), (Route::Portal, Some(Standing::Full { .. })));
        // Who does not say that a person will look at it gets the page as it is.
        let additions = (inside && ctx.kind == ClientKind::Navigation)
            .then(|| self.places.mark(self.face(session, ctx).notices().additions()))
            .flatten();
        (said.is_some() || additions.is_some()).then_some(Insertion { said, additions })
    }
}

/// Takes out of the request to the PBX what would keep our words out of its answer.
pub(super) fn ask(upstream: &mut RequestHeader, insertion: Insertion) -> pingora::Result<()> {
    if insertion.said.is_some() {
        for name in notice::REQUEST_FIELDS_THAT_GO {
            upstream.remove_header(&name);
        }
        return Ok(());
    }
    let Some(mark) = insertion.additions else { return Ok(()) };
    let asked_by = mark.asked_by(&upstream.headers);
    let part_of_changed = validators::wants_part_of_changed(&upstream.headers);
    for name in notice::REQUEST_FIELDS_THAT_GO {
        // A part of a file may be asked for; of a page that something was put into there is none.
        let asks_for_part = name == header::RANGE || name == header::IF_RANGE;
        if !asks_for_part || part_of_changed {
            upstream.remove_header(&name);
        }
    }
    if let Some(tags) = asked_by {
        upstream.insert_header(header::IF_NONE_MATCH, tags)?;
    }
    Ok(())
}

/// Decides, once the answer's header is there, whether and how its body is changed.
pub(super) fn begin(
    pipeline: &Pipeline,
    session: &Session,
    head: &mut ResponseHeader,
    ctx: &mut Exchange,
) -> pingora::Result<()> {
    let Some(insertion) = ctx.insertion else { return Ok(()) };
    let lasting = insertion.additions.filter(|_| insertion.said.is_none());
    if let (Some(mark), StatusCode::NOT_MODIFIED) = (lasting, head.status) {
        return put_mark_on(mark, head);
    }
    let request = session.req_header();
    if !injectable(&request.method, head.status, &head.headers)
        || (lasting.is_some() && forbids_changes(&head.headers))
    {
        return Ok(());
    }
    let Some(plan) = plan(pipeline, session, insertion, ctx) else { return Ok(()) };
    let coding = head.headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    let Some(coding) = ContentCoding::of(coding) else { return Ok(()) };
    if let Some(mark) = lasting {
        put_mark_on(mark, head)?;
    }
    for name in &RESPONSE_FIELDS_THAT_GO {
        // What stands in every page is as fresh as the page is.
        let still_true = name == header::ETAG || name == header::EXPIRES;
        if !(still_true && lasting.is_some()) {
            head.remove_header(name);
        }
    }
    if lasting.is_none() {
        head.insert_header(header::CACHE_CONTROL, "no-store")?;
    }
    if request.version == Version::HTTP_11 {
        head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    ctx.injector = Some(Mutex::new(Injector::new(plan, coding)));
    Ok(())
}

/// The answer's `ETag` becomes that of the page with our words in it.
fn put_mark_on(mark: Mark, head: &mut ResponseHeader) -> pingora::Result<()> {
    let Some(tag) = head.headers.get(header::ETAG) else { return Ok(()) };
    match mark.put_on(tag) {
        Some(marked) => head.insert_header(header::ETAG, marked)?,
        None => {
            head.remove_header(&header::ETAG);
        }
    }
    Ok(())
}

/// Whether the PBX wants its answer left as it is (RFC 9111 §5.2.2.6). What must be said is said
/// all the same.
fn forbids_changes(headers: &HeaderMap) -> bool {
    headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
        let mut directives = value.as_bytes().split(|byte| *byte == b',');
        directives.any(|one| one.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
    })
}

fn plan(
    pipeline: &Pipeline,
    session: &Session,
    insertion: Insertion,
    ctx: &mut Exchange,
) -> Option<InjectionPlan> {
    let notices = pipeline.face(session, ctx).notices();
    let places = &pipeline.places;
    let mut plan = match insertion.said {
        None => InjectionPlan::new(),
        Some(Said::Notice { days_left }) => places.notice(&notices.notice_html(days_left)),
        Some(Said::Message) => match left_for_it(pipeline, session, ctx) {
            Some(left) => places.notice(&notices.message_html(&left.message)),
            None => InjectionPlan::new(),
        },
        Some(Said::LoginPage) => {
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
            plan
        }
    };
    if insertion.additions.is_some() {
        plan = places.add(plan, notices.additions());
    }
    (!plan.is_empty()).then_some(plan)
}

/// The message that was left for this page. Shown or stale: either way it is not shown again.
fn left_for_it(pipeline: &Pipeline, session: &Session, ctx: &mut Exchange) -> Option<Flash> {
    let services = &pipeline.services;
    let sealed = cookies::find(answer::cookie_fields(session.req_header()), own_cookies::FLASH)?;
    ctx.set_cookies.push(flash::remove());
    flash::parse(&*services.vault, sealed, services.clock.now())
}
