//! From the file as written to the checked profile. Everything wrong is found in one go.

mod redaction;
mod subscriber;
mod token;

use std::ops::Range;
use std::sync::Arc;

use regex::Regex;
use regex::bytes::Regex as BytesRegex;
use toml::Spanned;

use super::Profile;
use super::answers::{AnswerTemplate, Answers};
use super::credentials::{CredentialField, Credentials};
use super::exposure::{CorsPolicy, Exposure};
use super::judge::{Conditions, Judgement, Rule};
use super::login::{Carrier, Csrf, HiddenFields, LoginEndpoint};
use super::login_names::LoginNames;
use super::pages::PortalPages;
use super::paths::PathSet;
use super::problems::{Problems, ProfileProblems};
use super::raw::{
    RawAnswer, RawHidden, RawJudgement, RawLogin, RawLoginName, RawProfile, RawRule, RawSession,
    RawSign, Text,
};
use super::session::{CookiePattern, SessionSigns};

pub(super) fn parse(text: &str, file: &str) -> Result<Profile, ProfileProblems> {
    let mut checker = Checker(Problems::new(text, file));
    let raw: RawProfile = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            checker.0.add_toml(&error);
            return Err(checker.0.into_found());
        }
    };
    let profile = checker.profile(raw);
    match profile {
        Some(profile) if checker.0.is_empty() => Ok(profile),
        _ => Err(checker.0.into_found()),
    }
}

/// Turns parts into checked types; what is wrong is noted, and the rest is looked at all the same.
struct Checker<'a>(Problems<'a>);

impl Checker<'_> {
    fn profile(&mut self, raw: RawProfile) -> Option<Profile> {
        let legacy_secret = self.regex(&raw.legacy_secret);
        let names = self.login_names(&raw.login_name);
        let logins: Vec<LoginEndpoint> =
            raw.login.iter().filter_map(|login| self.login(login)).collect();
        if raw.login.is_empty() {
            self.0.add(None, "the profile has no login endpoint", "add a [[login]] section");
        }
        let session = self.session(&raw.session);
        let exposure = self.exposure(&raw);
        let credentials = self.credentials(&raw);
        let subscriber = self.subscriber(&raw.subscriber);
        let who_am_i = raw.whoami.iter().filter_map(|way| self.who_am_i(way)).collect();
        let redactions = raw.redact.iter().map(|redact| Arc::new(self.redaction(redact))).collect();
        let pages = PortalPages {
            home: self.path(&raw.pages.home),
            login_links: self.selector(&raw.pages.login_links),
            login_message: self.selector(&raw.pages.login_message),
            username_input: self.selector(&raw.pages.username_input),
            notice: self.selector(&raw.pages.notice),
            security_link: raw.pages.security_link.as_ref().map(|link| self.selector(link)),
        };
        Some(Profile {
            name: raw.name,
            logins,
            names,
            legacy_secret: legacy_secret?,
            session,
            exposure,
            credentials,
            pages,
            subscriber,
            who_am_i,
            redactions,
        })
    }

    fn login_names(&mut self, raw: &RawLoginName) -> LoginNames {
        let patterns: Vec<Regex> = raw
            .patterns
            .iter()
            .filter_map(|pattern| self.regex_with(pattern, "extension"))
            .collect();
        if raw.patterns.is_empty() {
            self.0.add(None, "login_name.patterns is empty: nobody could log in", "");
        }
        let host = raw.tenant_from_host.as_ref().and_then(|host| self.regex_with(host, "tenant"));
        let upstream = raw.upstream.get_ref();
        let left = upstream.replacen("{extension}", "", 1).replace("{tenant}", "");
        if !upstream.contains("{extension}") || left.contains(['{', '}']) {
            let at = start(&raw.upstream);
            self.0.add(at, "upstream must hold {extension} once, and may hold {tenant}", "");
        }
        LoginNames { patterns, host, upstream: upstream.clone() }
    }

    fn login(&mut self, raw: &Spanned<RawLogin>) -> Option<LoginEndpoint> {
        let at = start(raw);
        let raw = raw.get_ref();
        let paths: Vec<String> = raw.paths.iter().map(|path| self.path(path)).collect();
        let methods: Vec<String> = raw.methods.iter().map(|method| self.method(method)).collect();
        if paths.is_empty() || methods.is_empty() {
            self.0.add(at, format!("login `{}` needs a path and a method", raw.name), "");
        }
        let (user, secret) = (self.carrier(&raw.user), self.carrier(&raw.secret));
        let tenant = raw.tenant.as_ref().and_then(|tenant| self.carrier(tenant));
        let carriers: Vec<&Carrier> = [&user, &secret, &tenant].into_iter().flatten().collect();
        let form = carriers.iter().any(|carrier| matches!(carrier, Carrier::Form(_)));
        let json = carriers.iter().any(|carrier| matches!(carrier, Carrier::Json(_)));
        if form && json {
            let message = format!("login `{}` reads a form and JSON at once", raw.name);
            self.0.add(at, message, "make two [[login]] sections");
        }
        let for_forms = raw.carried.len() + raw.fixed.len();
        if !form && for_forms > 0 {
            self.0.add(at, "carried and fixed are for forms only", "");
        }
        let rules: Vec<Rule> = raw.judge.iter().filter_map(|rule| self.rule(rule)).collect();
        for (missing, named) in
            [("accepted", RawJudgement::Accepted), ("refused", RawJudgement::Refused)]
        {
            if !raw.judge.iter().any(|rule| rule.get_ref().answer == named) {
                let message = format!("login `{}` has no rule for `{missing}`", raw.name);
                self.0.add(at, message, "add a [[login.judge]] section");
            }
        }
        let hidden = match raw.hidden.get_ref() {
            RawHidden::Named(names) => HiddenFields::Named(names.clone()),
            RawHidden::Word(word) => match word.as_str() {
                "all" => HiddenFields::All,
                "none" => HiddenFields::Named(Vec::new()),
                _ => {
                    self.0.add(
                        start(&raw.hidden),
                        "hidden is \"all\", \"none\" or a list of names",
                        "",
                    );
                    HiddenFields::All
                }
            },
        };
        let csrf = raw.csrf.as_ref().and_then(|csrf| {
            let (at, raw) = (start(csrf), csrf.get_ref());
            let header = raw.header.to_ascii_lowercase();
            match (&raw.meta, &raw.cookie) {
                (Some(name), None) => Some(Csrf::Meta { name: name.clone(), header }),
                (None, Some(name)) => Some(Csrf::Cookie { name: name.clone(), header }),
                _ => {
                    self.0.add(at, "csrf takes the token from either `meta` or `cookie`", "");
                    None
                }
            }
        });
        let answers = Answers {
            refused: raw.answers.refused.as_ref().map(|answer| self.answer(answer)),
            locked: raw.answers.locked.as_ref().map(|answer| self.answer(answer)),
            set_password: raw.answers.set_password.as_ref().map(|answer| self.answer(answer)),
        };
        Some(LoginEndpoint {
            name: raw.name.clone(),
            page: self.path(&raw.page),
            user: user?,
            secret: secret?,
            tenant,
            carried: raw.carried.clone(),
            fixed: raw.fixed.clone().into_iter().collect(),
            hidden,
            csrf,
            paths,
            methods,
            rules,
            answers,
        })
    }

    fn carrier(&mut self, raw: &Text) -> Option<Carrier> {
        let text = raw.get_ref().as_str();
        let carrier = match text.split_once(':') {
            Some(("form", name)) if !name.is_empty() => Carrier::Form(name.to_owned()),
            Some(("query", name)) if !name.is_empty() => Carrier::Query(name.to_owned()),
            Some(("json", pointer)) if pointer.starts_with('/') => {
                Carrier::Json(pointer.to_owned())
            }
            Some(("header", name)) if !name.is_empty() => {
                Carrier::Header(name.to_ascii_lowercase())
            }
            Some(("basic", "user")) => Carrier::BasicUser,
            Some(("basic", "password")) => Carrier::BasicPassword,
            _ => {
                let hint = "form:NAME, json:/POINTER, query:NAME, basic:user, basic:password or \
                            header:NAME";
                self.0.add(start(raw), format!("`{text}` is no place in a request"), hint);
                return None;
            }
        };
        Some(carrier)
    }

    fn rule(&mut self, raw: &Spanned<RawRule>) -> Option<Rule> {
        let (at, raw) = (start(raw), raw.get_ref());
        let judgement = match raw.answer {
            RawJudgement::Accepted => Judgement::Accepted,
            RawJudgement::Refused => Judgement::Refused,
            RawJudgement::Challenge => Judgement::Challenge,
            RawJudgement::TokenError => Judgement::TokenError,
        };
        let json = raw.json.iter().map(|condition| self.json_condition(condition)).collect();
        let conditions = Conditions {
            status: raw.status.clone(),
            location: self.optional_regex(raw.location.as_ref())?,
            cookie_set: raw.cookie_set.clone(),
            cookie_changed: raw.cookie_changed.clone(),
            body: self.optional_bytes_regex(raw.body.as_ref())?,
            json,
        };
        if conditions.is_empty() {
            self.0.add(at, "this rule has no condition: it would match every answer", "");
        }
        // A bare status would take an error page, or the form shown again, for a success.
        let only_status = Conditions { status: Vec::new(), ..conditions.clone() }.is_empty();
        if judgement == Judgement::Accepted && only_status {
            let hint = "name a location, a changed cookie, a body or a JSON value too";
            self.0.add(at, "a status alone does not prove that a login was accepted", hint);
        }
        Some(Rule { judgement, conditions })
    }

    fn answer(&mut self, raw: &RawAnswer) -> AnswerTemplate {
        let status = *raw.status.get_ref();
        if !(200..=599).contains(&status) {
            self.0.add(start(&raw.status), format!("{status} is no HTTP status"), "");
        }
        AnswerTemplate { status, content_type: raw.content_type.clone(), body: raw.body.clone() }
    }

    fn session(&mut self, raw: &RawSession) -> SessionSigns {
        if raw.cookies.get_ref().is_empty() {
            let hint = "without them every browser would share one PBX session";
            self.0.add(start(&raw.cookies), "the session needs at least one cookie name", hint);
        }
        let jar = raw.cookies.get_ref().clone();
        if jar.iter().any(|name| name.is_empty() || name.contains(['*', '=', ';', ' '])) {
            let hint = "names are exact: a cookie taken for the session by mistake is lost";
            self.0.add(start(&raw.cookies), "a session cookie's name is unusable", hint);
        }
        let by_script: Vec<String> =
            raw.sign_out_by_script.iter().map(|path| self.path(path)).collect();
        for path in &raw.sign_out_by_script {
            let all = raw.sign_out.get_ref();
            if !all.iter().any(|known| known.get_ref() == path.get_ref()) {
                let message = format!("`{}` is no sign-out", path.get_ref());
                self.0.add(start(path), message, "name it in session.sign_out, too");
            }
        }
        let exact = raw.dropped_cookies.iter().filter(|name| !name.ends_with('*'));
        SessionSigns {
            withheld: jar.iter().chain(exact).cloned().collect(),
            jar,
            dropped: raw.dropped_cookies.iter().cloned().map(CookiePattern).collect(),
            background: self.paths(&raw.background),
            signed_out_by_script: by_script,
            expired: raw.expired.iter().filter_map(|sign| self.sign(sign)).collect(),
        }
    }

    fn sign(&mut self, raw: &Spanned<RawSign>) -> Option<Conditions> {
        let (at, raw) = (start(raw), raw.get_ref());
        let conditions = Conditions {
            status: raw.status.clone(),
            location: self.optional_regex(raw.location.as_ref())?,
            body: self.optional_bytes_regex(raw.body.as_ref())?,
            ..Conditions::default()
        };
        if conditions.is_empty() {
            self.0.add(at, "this sign has no condition: it would match every answer", "");
        }
        Some(conditions)
    }

    fn exposure(&mut self, raw: &RawProfile) -> Exposure {
        let exposure = &raw.exposure;
        let login_pages = self.some_paths(&raw.pages.login, "pages.login");
        let sign_outs = self.some_paths(&raw.session.sign_out, "session.sign_out");
        let tokens = self.tokens(&raw.token);
        let cors = exposure.cors.as_ref().map(|cors| CorsPolicy {
            origins: cors.origins.iter().map(|origin| self.origin(origin)).collect(),
            methods: cors.methods.iter().map(|method| self.method(method)).collect(),
            headers: cors.headers.iter().map(|name| self.header_name(name)).collect(),
            max_age: cors.max_age,
            credentials: cors.credentials,
        });
        if let Some(cors) = &exposure.cors
            && let Some(all) = cors.origins.iter().find(|origin| *origin.get_ref() == "*")
            && cors.credentials
        {
            let hint = "name the origins that may use the signed-in user's cookies";
            self.0.add(start(all), "cors.credentials is not for every origin", hint);
        }
        let methods = &raw.session.sign_out_methods;
        if methods.is_empty() {
            self.0.add(start(&raw.session.sign_out), "session.sign_out_methods is empty", "");
        }
        Exposure {
            login_pages,
            guard: self.paths(&exposure.guard),
            sign_outs,
            sign_out_methods: methods.iter().map(|method| self.method(method)).collect(),
            challenge: self.paths(&exposure.challenge),
            denied: self.paths(&exposure.denied),
            tokens,
            token_mode: exposure.token_mode,
            api: self.paths(&exposure.api),
            public: self.paths(&exposure.public),
            pre_login: self.paths(&exposure.pre_login),
            websocket: self.paths(&exposure.websocket),
            cors,
        }
    }

    fn credentials(&mut self, raw: &RawProfile) -> Credentials {
        let raw = &raw.credentials;
        let body = raw.fields.iter().map(|name| CredentialField::new(name, false));
        let query = raw.query_fields.iter().map(|name| CredentialField::new(name, true));
        Credentials { fields: body.chain(query).collect(), exempt: self.paths(&raw.exempt) }
    }

    fn some_paths(&mut self, raw: &Spanned<Vec<Text>>, key: &str) -> Vec<String> {
        if raw.get_ref().is_empty() {
            self.0.add(start(raw), format!("{key} needs at least one path"), "");
        }
        raw.get_ref().iter().map(|path| self.path(path)).collect()
    }

    fn paths(&mut self, entries: &[Text]) -> PathSet {
        let mut set = PathSet::default();
        for entry in entries {
            if let Err(problem) = set.add(entry.get_ref()) {
                self.0.add(start(entry), problem, "");
            }
        }
        set
    }

    fn path(&mut self, raw: &Text) -> String {
        let path = raw.get_ref();
        if !path.starts_with('/') || path.starts_with("//") || path.contains(['*', '#', ' ']) {
            self.0.add(start(raw), format!("`{path}` is no path on the portal"), "");
        }
        path.clone()
    }

    fn method(&mut self, raw: &Text) -> String {
        let method = raw.get_ref();
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            self.0.add(
                start(raw),
                format!("`{method}` is no HTTP method"),
                "methods are upper-case",
            );
        }
        method.clone()
    }

    fn header_name(&mut self, raw: &Text) -> String {
        let name = raw.get_ref();
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(sound) {
            self.0.add(start(raw), format!("`{name}` is no name of a header"), "");
        }
        name.clone()
    }

    fn origin(&mut self, raw: &Text) -> String {
        let origin = raw.get_ref();
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        if origin != "*" && !host.is_some_and(|host| !host.is_empty() && !host.contains('/')) {
            let hint = "write it as browsers send it: https://app.example.com";
            self.0.add(start(raw), format!("`{origin}` is no origin"), hint);
        }
        origin.clone()
    }

    fn selector(&mut self, raw: &Text) -> String {
        if let Err(error) = raw.get_ref().parse::<lol_html::Selector>() {
            self.0.add(start(raw), format!("bad CSS selector: {error}"), "");
        }
        raw.get_ref().clone()
    }

    fn regex(&mut self, raw: &Text) -> Option<Regex> {
        let regex = Regex::new(raw.get_ref());
        regex.map_err(|error| self.0.add(start(raw), bad_regex(&error), "")).ok()
    }

    fn regex_with(&mut self, raw: &Text, group: &str) -> Option<Regex> {
        let regex = self.regex(raw)?;
        if !regex.capture_names().flatten().any(|name| name == group) {
            let message = format!("the expression has no group `{group}`");
            self.0.add(start(raw), message, &format!("name it: (?<{group}>…)"));
        }
        Some(regex)
    }

    /// `None` when there is one and it is wrong.
    #[expect(clippy::option_option, reason = "absent and wrong are different things here")]
    fn optional_regex(&mut self, raw: Option<&Text>) -> Option<Option<Regex>> {
        raw.map_or(Some(None), |raw| self.regex(raw).map(Some))
    }

    /// As [`Self::optional_regex`], for bodies, which need not be UTF-8.
    #[expect(clippy::option_option, reason = "absent and wrong are different things here")]
    fn optional_bytes_regex(&mut self, raw: Option<&Text>) -> Option<Option<BytesRegex>> {
        let Some(raw) = raw else { return Some(None) };
        let regex = BytesRegex::new(raw.get_ref());
        regex.map_err(|error| self.0.add(start(raw), bad_regex(&error), "")).ok().map(Some)
    }
}

fn bad_regex(error: &regex::Error) -> String {
    let error = error.to_string();
    let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
    format!("bad regular expression: {reason}")
}

/// Where a value begins; values that the file does not have begin nowhere.
fn start<T>(value: &Spanned<T>) -> Option<usize> {
    let Range { start, end } = value.span();
    (end > start).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<(Option<usize>, String)> {
        let problems = parse(text, "x.toml").unwrap_err();
        problems.0.iter().map(|problem| (problem.line, problem.to_string())).collect()
    }

    fn line_of(text: &str, part: &str) -> Option<usize> {
        text.lines().position(|line| line.contains(part)).map(|index| index + 1)
    }

    #[test]
    fn built_in_profiles_are_right() {
        for name in Profile::builtin_names() {
            let profile = parse(Profile::builtin(name).unwrap(), name);
            assert_eq!(profile.map(|profile| profile.name().to_owned()), Ok(name.to_owned()));
        }
        assert!(Profile::builtin("nonsense").is_none());
    }

    /// configuration.md: all problems together, each with file, line and hint.
    #[test]
    fn everything_wrong_is_reported_together() {
        let text = Profile::builtin("netsapiens")
            .unwrap()
            .replace("\"form:data[Login][username]\"", "\"from:data[Login][username]\"")
            .replace("'^/portal/home(/|[?#]|$)'", "'^/portal/home('")
            .replace("\"/portal/css/*\"", "\"portal/css/*\"")
            .replace("cookies = [\"PHPSESSID\", \"CAKEPHP\"]", "cookies = []")
            .replace("notice = \"body\"", "notice = \"body >\"")
            .replace("(?<tenant>[^@\\s]+)$',\n    '^(?<extension>[0-9]+)$'", "x',\n    '^[0-9]+$'");
        let found = problems(&text);
        for part in ["from:data", "home('", "\"portal/css", "cookies = []", "body >", "'^[0-9]+$',"]
        {
            let line = line_of(&text, part);
            assert!(found.iter().any(|(at, _)| *at == line), "{part}: {line:?} not in {found:#?}");
        }
        assert_eq!(found.len(), 6, "{found:#?}");
        assert!(found.iter().all(|(_, text)| text.starts_with("x.toml:")));
    }

    #[test]
    fn a_misspelt_key_gets_a_hint() {
        let text =
            Profile::builtin("generic").unwrap().replace("dropped_cookies", "droped_cookies");
        let found = problems(&text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, line_of(&text, "droped_cookies"));
        assert!(found[0].1.contains("did you mean `dropped_cookies`?"), "{found:?}");
    }

    /// A status alone would take the PBX's error page for a success.
    #[test]
    fn careless_rules_are_refused() {
        let text = Profile::builtin("generic").unwrap();
        let careless = text.replace("location = '^/'\ncookie_changed", "cookie_set = []\n#");
        assert!(problems(&careless)[0].1.contains("does not prove"));
        let endless = text.replace("answer = \"refused\"\nstatus = [401]", "answer = \"refused\"");
        assert!(problems(&endless)[0].1.contains("no condition"));
    }
}
