//! Step 5, the side that lets through: a request is readied for the PBX, or found to be one that
//! must not reach it after all.

use http::uri::PathAndQuery;
use http::{Method, header};
use pingora::proxy::Session;

use super::exchange::Exchange;
use super::pipeline::Pipeline;
use super::route::Route;
use super::{answer, client_kind, cookies, entry, forward, notice, visitor};
use crate::domain::session::Standing;
use crate::flows::kept_form::take;
use crate::web::{ErrorKind, cookies as own_cookies, kept_form};

impl Pipeline {
    /// Readies a request for the PBX; `false` lets Pingora go on with it.
    pub(super) async fn forward(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        route: &Route<'_>,
    ) -> pingora::Result<bool> {
        if session.req_header().method == Method::POST && self.puts_form_in(session, ctx).await? {
            return Ok(true);
        }
        let has_body = !session.as_downstream_mut().is_body_empty();
        let head = session.req_header();
        let path = head.uri.path();
        if head.uri.query().is_some_and(|query| self.scan.query(query)) {
            return self.refuse(session, ctx, ErrorKind::Forbidden).await;
        }
        ctx.redacts = self.profile.redaction(path).cloned();
        let upgrades = forward::asks_websocket(head);
        if has_body || upgrades {
            ctx.scan = self.body_scan(route, head);
        }
        if upgrades
            && !(matches!(route, Route::Portal | Route::Api)
                && self.profile.allows_websocket(path)
                && client_kind::same_origin(&head.headers, entry::host(head)))
        {
            return self.refuse(session, ctx, ErrorKind::Forbidden).await;
        }
        // What scripts open or poll by themselves is no interaction; on a WebSocket the client's
        // messages are (R-C4).
        let interaction = matches!(route, Route::Portal | Route::Api | Route::Challenge)
            && !upgrades
            && !forward::asks_event_stream(head)
            && !self.profile.is_background(path);
        let standing = ctx.admitted.as_ref().map(|admitted| admitted.standing);
        if notice::wants_page(&head.method, &head.headers) {
            ctx.insertion = self.insertion(session, route, ctx);
        }
        let uses_session = match standing {
            Some(Standing::Full { .. }) => true,
            Some(Standing::Challenge) => matches!(route, Route::Challenge | Route::Public),
            _ => false,
        };
        if uses_session && let Some(live) = ctx.session().cloned() {
            if interaction {
                live.touch(self.services.clock.now());
            }
            ctx.jar = Some(live.jar());
        } else if !matches!(route, Route::Api) {
            let sealed = cookies::find(answer::cookie_fields(head), cookies::VISITOR);
            ctx.visitor = Some(visitor::open(&*self.services.vault, sealed));
        }
        ctx.server = self.upstreams.choose(ctx.jar.as_ref().map(|jar| jar.server));
        if !matches!(route, Route::Api) {
            // The portal is reached by its session alone: many take HTTP Basic on any page.
            session.req_header_mut().remove_header(&header::AUTHORIZATION);
        }
        Ok(false)
    }

    /// Puts in the form that was sent too late, where its user wants it sent now (R-C4): what the
    /// browser sends to this place is our own page's button. `true` when there is no such form any
    /// more, and the request was answered.
    async fn puts_form_in(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
    ) -> pingora::Result<bool> {
        let head = session.req_header();
        let sent = cookies::find(answer::cookie_fields(head), own_cookies::SEND);
        let (Some(sealed), Some(live)) = (sent, ctx.session().cloned()) else { return Ok(false) };
        let now = self.services.clock.now();
        let record = live.record();
        let decided = kept_form::decided(&*self.services.vault, &record.id, sealed, now);
        let place = head.uri.path_and_query().map(PathAndQuery::as_str);
        let Some(decision) = decided.filter(|one| Some(one.target.as_str()) == place) else {
            return Ok(false);
        };
        if !client_kind::same_origin(&head.headers, entry::host(head)) {
            return self.refuse(session, ctx, ErrorKind::Forbidden).await;
        }
        let done = kept_form::done();
        match take(&self.services, &decision.token, record.account).await {
            Ok(Some(kept)) => {
                ctx.resent = Some(kept.form);
                ctx.set_cookies.push(done);
                Ok(false)
            }
            // The button was pressed twice.
            Ok(None) => {
                let home = self.settings.home.clone();
                self.send_to(session, ctx, &home, vec![done.as_bytes().to_vec()]).await
            }
            Err(outage) => self.outage(session, ctx, &outage).await,
        }
    }
}
