//! Header fields that every answer carries, and those that none does.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// What the configuration says about every answer.
#[derive(Debug, Clone, Default)]
pub struct SecurityHeaders {
    hsts: Option<HeaderValue>,
}

/// Tells too much, or belongs to the hop between the PBX and us.
const GO: [HeaderName; 4] = [
    header::SERVER,
    HeaderName::from_static("x-powered-by"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

impl SecurityHeaders {
    /// `hsts` is the value of `Strict-Transport-Security`; `None` sends none (R-G1).
    pub fn new(hsts: Option<HeaderValue>) -> Self {
        Self { hsts }
    }

    /// What is to be added to an answer with these fields. The PBX's own values are never
    /// replaced, whether they are stricter or have reasons that we do not know.
    pub fn missing(&self, headers: &HeaderMap) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let ours = [
            (header::STRICT_TRANSPORT_SECURITY, self.hsts.clone()),
            (header::X_CONTENT_TYPE_OPTIONS, Some(HeaderValue::from_static("nosniff"))),
            (
                header::REFERRER_POLICY,
                Some(HeaderValue::from_static("strict-origin-when-cross-origin")),
            ),
        ];
        ours.into_iter()
            .filter(|(name, _)| !headers.contains_key(name))
            .filter_map(|(name, value)| Some((name, value?)))
    }

    /// What is to be removed from an answer before anything is added.
    pub fn unwanted() -> [HeaderName; 4] {
        GO
    }

    /// Both at once, for answers that are plain `http` types.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in Self::unwanted() {
            headers.remove(name);
        }
        let missing: Vec<_> = self.missing(headers).collect();
        headers.extend(missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(hsts: bool, fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let hsts = hsts.then(|| HeaderValue::from_static("max-age=31536000"));
        SecurityHeaders::new(hsts).apply(&mut headers);
        headers
    }

    /// R-G1: HSTS off until it is switched on, never `includeSubDomains` by default.
    #[test]
    fn every_answer_carries_the_defaults() {
        let headers = applied(false, &[("server", "Pingora"), ("x-powered-by", "PHP/5.3")]);
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "strict-origin-when-cross-origin");
        assert_eq!(headers.len(), 2);
        assert_eq!(applied(true, &[])["strict-transport-security"], "max-age=31536000");
    }

    #[test]
    fn the_pbxs_own_values_stay() {
        let own = [
            ("referrer-policy", "no-referrer"),
            ("strict-transport-security", "max-age=63072000; includeSubDomains"),
        ];
        let headers = applied(true, &own);
        for (name, value) in own {
            let values: Vec<_> = headers.get_all(name).iter().collect();
            assert_eq!(values, [value]);
        }
    }
}
