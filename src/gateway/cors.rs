//! Which pages of other origins may call the API from a browser (the profile's `[exposure.cors]`;
//! Fetch Standard, "CORS protocol"). Preflights are answered here and never forwarded; what the PBX
//! says itself on its own answers is left as it is.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};

use crate::profile::{CorsPolicy, Profile};

/// What scripts may read of our answers besides what they always may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy, Deprecation, Sunset, Link",
);
/// What a call may be, where the profile does not say.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// What it may carry, where the profile does not say.
const HEADERS: HeaderValue = HeaderValue::from_static("Authorization, Content-Type");
const ORIGIN: HeaderValue = HeaderValue::from_static("Origin");

/// Whether a browser asks whether it may send a call.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight; `None`: pages of this origin may not call the API.
pub fn allowed(profile: &Profile, path: &str, headers: &HeaderMap) -> Option<Response<Bytes>> {
    let policy = policy(profile, path, headers)?;
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let fields = response.headers_mut();
    let list = |names: &[String], otherwise: HeaderValue| match names {
        [] => otherwise,
        // The profile's check lets only tokens through.
        names => HeaderValue::try_from(names.join(", ")).unwrap_or(otherwise),
    };
    fields.insert(header::ACCESS_CONTROL_ALLOW_METHODS, list(&policy.methods, METHODS));
    fields.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, list(&policy.headers, HEADERS));
    if policy.max_age > 0 {
        fields.insert(header::ACCESS_CONTROL_MAX_AGE, policy.max_age.into());
    }
    Some(response)
}

/// What is to be added to an answer with these fields so that the page that asked may read it.
pub fn missing(
    profile: &Profile,
    path: &str,
    request: &HeaderMap,
    answer: &HeaderMap,
) -> Vec<(HeaderName, HeaderValue)> {
    if answer.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        return Vec::new();
    }
    let (Some(policy), Some(origin)) =
        (policy(profile, path, request), request.get(header::ORIGIN))
    else {
        return Vec::new();
    };
    let mut fields = vec![
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED),
        (header::VARY, ORIGIN),
    ];
    if policy.credentials {
        let yes = HeaderValue::from_static("true");
        fields.push((header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes));
    }
    fields
}

fn policy<'p>(profile: &'p Profile, path: &str, request: &HeaderMap) -> Option<&'p CorsPolicy> {
    let mut origins = request.get_all(header::ORIGIN).iter();
    let origin = origins.next()?.to_str().ok()?;
    // Pages without an origin of their own (`null`) are anybody's.
    (origins.next().is_none() && origin != "null").then(|| profile.allowed_cors(path, origin))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(cors: &str) -> Profile {
        let text = Profile::builtin("netsapiens").unwrap();
        let text = text.replace(
            "[[token]]\nname = \"oauth2\"",
            &format!("{cors}\n[[token]]\nname = \"oauth2\""),
        );
        Profile::parse(&text, "x.toml").unwrap()
    }

    fn from(origin: &str) -> HeaderMap {
        let fields = [("origin", origin), ("access-control-request-method", "PUT")]
            .into_iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            });
        fields.collect()
    }

    const POLICY: &str = "[exposure.cors]\norigins = [\"https://app.example\"]\nmax_age = 600";

    #[test]
    fn preflights_are_told_by_three_signs() {
        let asks = from("https://app.example");
        assert!(is_preflight(&Method::OPTIONS, &asks));
        assert!(!is_preflight(&Method::GET, &asks));
        for name in [header::ORIGIN, header::ACCESS_CONTROL_REQUEST_METHOD] {
            let mut less = asks.clone();
            less.remove(name);
            assert!(!is_preflight(&Method::OPTIONS, &less));
        }
    }

    #[test]
    fn only_the_profiles_origins_may_call() {
        let profile = profile(POLICY);
        for path in ["/ns-api/", "/ns-api/oauth2/token"] {
            let answer = allowed(&profile, path, &from("https://app.example")).unwrap();
            assert_eq!(answer.status(), 204);
            let field = |name: &str| answer.headers().get(name).unwrap().to_str().unwrap();
            assert!(field("access-control-allow-methods").contains("PUT"));
            assert!(field("access-control-allow-headers").contains("Authorization"));
            assert_eq!(field("access-control-max-age"), "600");
        }
        for (path, origin) in [
            ("/portal/home", "https://app.example"),
            ("/ns-api/", "https://app.example.evil"),
            ("/ns-api/", "http://app.example"),
            ("/ns-api/", "null"),
            ("/ns-api/", ""),
        ] {
            assert!(allowed(&profile, path, &from(origin)).is_none(), "{path} {origin}");
            let missing = missing(&profile, path, &from(origin), &HeaderMap::new());
            assert_eq!(missing, [], "{path} {origin}");
        }
        let mut twice = from("https://app.example");
        twice.append(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert!(allowed(&profile, "/ns-api/", &twice).is_none());
    }

    /// The origin itself is named, never all; credentials only where the profile says so; and the
    /// PBX's own word stands.
    #[test]
    fn answers_name_the_origin() {
        let everybody = profile("[exposure.cors]\norigins = [\"*\"]");
        let asked = from("https://any.example");
        let fields = missing(&everybody, "/ns-api/", &asked, &HeaderMap::new());
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["access-control-allow-origin", "access-control-expose-headers", "vary"]);
        assert_eq!(fields[0].1, "https://any.example");
        assert_eq!(missing(&everybody, "/ns-api/", &from("null"), &HeaderMap::new()), []);

        let with = profile(&format!("{POLICY}\ncredentials = true"));
        let asked = from("https://app.example");
        let fields = missing(&with, "/ns-api/", &asked, &HeaderMap::new());
        assert!(fields.iter().any(|(name, _)| *name == "access-control-allow-credentials"));
        let own = [(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))];
        assert_eq!(missing(&with, "/ns-api/", &asked, &own.into_iter().collect()), []);
    }

    /// Every origin with everybody's cookies is no policy.
    #[test]
    fn credentials_are_not_for_all_origins() {
        let text = Profile::builtin("generic").unwrap();
        for (cors, told) in [
            ("origins = [\"*\"]\ncredentials = true", "not for every origin"),
            ("origins = [\"*\"]\nmethods = [\"GET,\\nPUT\"]", "no HTTP method"),
            ("origins = [\"*\"]\nheaders = [\"a b\"]", "no name of a header"),
        ] {
            let text = format!("{text}\n[exposure.cors]\n{cors}");
            let problems = Profile::parse(&text, "x.toml").unwrap_err().to_string();
            assert!(problems.contains(told), "{problems}");
        }
    }
}
