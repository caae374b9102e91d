//! Checks `[subscriber]`.

use std::collections::BTreeMap;

use serde_json::Value;
use toml::Spanned;

use super::{Checker, start};
use crate::profile::judge::Conditions;
use crate::profile::raw::{RawOwnPage, RawPinRead, RawPinWrite, RawSign, RawSubscriber, Text};
use crate::profile::subscriber::{
    ApiBody, ApiCall, JsonTemplate, OwnPage, PinRead, PinWrite, Place, Subscriber, Template,
    WriteSigns,
};

const KNOWN_PLACES: &str = "known are {extension}, {tenant}, {login} and {pin}";

impl Checker<'_> {
    pub(super) fn subscriber(&mut self, raw: &RawSubscriber) -> Subscriber {
        Subscriber {
            writes: raw.write.iter().filter_map(|write| self.pin_write(write)).collect(),
            reads: raw.read.iter().filter_map(|read| self.pin_read(read)).collect(),
            token_path: raw.token.as_ref().map(|token| self.path(&token.path)),
            own_page: raw.own_page.as_ref().map(|page| self.own_page(page)),
        }
    }

    fn pin_write(&mut self, raw: &Spanned<RawPinWrite>) -> Option<PinWrite> {
        let (at, raw) = (start(raw), raw.get_ref());
        let call = self.user_call(
            at,
            (raw.method.as_ref(), &raw.path),
            (raw.form.as_ref(), raw.json.as_ref()),
        )?;
        if matches!(call.method.as_str(), "GET" | "HEAD" | "DELETE") {
            let hint = "POST, PUT or PATCH";
            self.0.add(at, format!("a PIN is not written by {}", call.method), hint);
        }
        if call.path.has(Place::Pin) {
            let hint = "paths are written to logs; put {pin} into `form` or `json`";
            self.0.add(start(&raw.path), "a PIN must not stand in a path", hint);
        } else if !call.body.has(Place::Pin) {
            let hint = "put {pin} into `form` or `json`";
            self.0.add(at, "this way to write a PIN does not say where the PIN goes", hint);
        }
        let signs = self.write_signs(at, &raw.done, &raw.later, &raw.refused);
        Some(PinWrite { call, signs })
    }

    fn pin_read(&mut self, raw: &Spanned<RawPinRead>) -> Option<PinRead> {
        let (at, raw) = (start(raw), raw.get_ref());
        let call = self.user_call(
            at,
            (raw.method.as_ref(), &raw.path),
            (raw.form.as_ref(), raw.json.as_ref()),
        )?;
        if call.has(Place::Pin) {
            self.0.add(at, "a PIN that is to be read cannot be filled in", "take {pin} away");
        }
        let pin = raw.pin.get_ref();
        if !pin.starts_with('/') {
            self.0.add(start(&raw.pin), "a JSON pointer begins with `/`", "");
        }
        Some(PinRead { call, pin: pin.clone() })
    }

    fn own_page(&mut self, raw: &Spanned<RawOwnPage>) -> OwnPage {
        let (at, raw) = (start(raw), raw.get_ref());
        if raw.fields.is_empty() || raw.fields.iter().any(String::is_empty) {
            let hint = "fields = [\"the name of the input for the new PIN\"]";
            self.0.add(at, "own_page needs the names of the fields that take the PIN", hint);
        }
        let signs = self.write_signs(at, &raw.done, &raw.later, &raw.refused);
        // The page itself, shown again, has a status too; and so has the way to the login page.
        for (sign, raw) in signs.done.iter().zip(&raw.done) {
            if (Conditions { status: Vec::new(), ..sign.clone() }).is_empty() {
                let hint = "name a location or a body too";
                self.0.add(start(raw), "a status alone does not prove that a page was saved", hint);
            }
        }
        OwnPage { path: self.path(&raw.path), fields: raw.fields.clone(), signs }
    }

    /// A call about a user.
    fn user_call(
        &mut self,
        at: Option<usize>,
        line: (Option<&Text>, &Text),
        body: (Option<&BTreeMap<String, Text>>, Option<&Spanned<Value>>),
    ) -> Option<ApiCall> {
        let call = self.call(at, line, body)?;
        if !call.has(Place::Extension) && !call.has(Place::Login) {
            let hint = "put {extension} (and {tenant}) or {login} into the path or the body";
            self.0.add(at, "this request does not say whose PIN it is about", hint);
        }
        Some(call)
    }

    pub(super) fn call(
        &mut self,
        at: Option<usize>,
        (method, path): (Option<&Text>, &Text),
        body: (Option<&BTreeMap<String, Text>>, Option<&Spanned<Value>>),
    ) -> Option<ApiCall> {
        self.path(path);
        let body = match body {
            (Some(_), Some(_)) => {
                self.0.add(at, "a request carries either `form` or `json`", "");
                ApiBody::None
            }
            (Some(form), None) => {
                let fields: Vec<_> = form
                    .iter()
                    .filter_map(|(name, value)| Some((name.clone(), self.template(value)?)))
                    .collect();
                (fields.len() == form.len()).then_some(ApiBody::Form(fields))?
            }
            (None, Some(json)) => match JsonTemplate::parse(json.get_ref()) {
                Ok(template) => ApiBody::Json(template),
                Err(unknown) => {
                    self.unknown_place(start(json), &unknown);
                    return None;
                }
            },
            (None, None) => ApiBody::None,
        };
        let method = match method {
            Some(method) => self.method(method),
            None if matches!(body, ApiBody::None) => "GET".to_owned(),
            None => "POST".to_owned(),
        };
        Some(ApiCall { method, path: self.template(path)?, body })
    }

    fn template(&mut self, raw: &Text) -> Option<Template> {
        Template::parse(raw.get_ref())
            .map_err(|unknown| self.unknown_place(start(raw), &unknown))
            .ok()
    }

    fn unknown_place(&mut self, at: Option<usize>, unknown: &str) {
        self.0.add(at, format!("`{unknown}` is no place to fill in"), KNOWN_PLACES);
    }

    fn write_signs(
        &mut self,
        at: Option<usize>,
        done: &[Spanned<RawSign>],
        later: &[Spanned<RawSign>],
        refused: &[Spanned<RawSign>],
    ) -> WriteSigns {
        if done.is_empty() && later.is_empty() {
            let hint = "for example done = [{ status = [200] }]";
            self.0.add(at, "nothing would be taken for a PIN that was written", hint);
        }
        let mut signs =
            |list: &[Spanned<RawSign>]| list.iter().filter_map(|sign| self.sign(sign)).collect();
        WriteSigns { done: signs(done), later: signs(later), refused: signs(refused) }
    }
}
