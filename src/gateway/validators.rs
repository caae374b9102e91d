//! Validators of pages that carry something of ours which is the same from one request to the
//! next. The PBX's `ETag` is right for the page as it came; with a mark of what was put in, it is
//! right for the page as it went out. A browser that asks by such a tag asks the PBX by its own, if
//! the mark is the present one. Tags without it stand for a page that nothing was put into, or
//! something else (before an upgrade, in another language): the PBX is not asked by them.

use http::header::{HeaderMap, HeaderValue, IF_NONE_MATCH, IF_RANGE};
use sha2::{Digest, Sha256};

/// Stands before the digits of a mark.
const SIGN: &str = ".passgate-";
const DIGITS: usize = 8;

/// What was put into a page, as eight hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark([u8; DIGITS]);

impl Mark {
    /// The mark of these texts.
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut hash = Sha256::new();
        for text in texts {
            hash.update(text);
            hash.update([0]);
        }
        let mut digits = [0; DIGITS];
        for (digit, byte) in digits.iter_mut().zip(hash.finalize()) {
            *digit = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        Self(digits)
    }

    /// The PBX's entity tag (RFC 9110 §8.8.3), marked; `None` for what is none.
    pub fn put_on(self, tag: &HeaderValue) -> Option<HeaderValue> {
        let (whole, rest) = entity_tag(tag.as_bytes())?;
        let open = whole.strip_suffix(b"\"").filter(|_| rest.trim_ascii().is_empty())?;
        HeaderValue::from_bytes(&[open, SIGN.as_bytes(), &self.0, b"\""].concat()).ok()
    }

    /// What the PBX is to be asked by: of the tags in `If-None-Match` those with this mark, as the
    /// PBX gave them out. `None` where there is none.
    pub fn asked_by(self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut tags = Vec::new();
        for field in headers.get_all(IF_NONE_MATCH) {
            let mut rest = field.as_bytes();
            while let Some((tag, after)) = entity_tag(rest) {
                if let Some(open) = unmarked(tag, &self.0) {
                    tags.push([open, b"\""].concat());
                }
                rest = after.trim_ascii_start();
                rest = rest.strip_prefix(b",").unwrap_or(rest);
            }
        }
        let tags = tags.join(&b", "[..]);
        (!tags.is_empty()).then(|| HeaderValue::from_bytes(&tags).ok())?
    }
}

/// Whether a part of a page is asked for that something of ours was put into: the PBX has no such
/// part.
pub fn wants_part_of_changed(headers: &HeaderMap) -> bool {
    headers.get(IF_RANGE).is_some_and(|tag| {
        tag.as_bytes().windows(SIGN.len()).any(|window| window == SIGN.as_bytes())
    })
}

/// The first entity tag of a list, with its quotes, and what stands behind it.
fn entity_tag(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let list = list.trim_ascii_start();
    let opened = if list.starts_with(b"W/") { 2 } else { 0 };
    if list.get(opened) != Some(&b'"') {
        return None;
    }
    let closed = list[opened + 1..].iter().position(|byte| *byte == b'"')?;
    Some(list.split_at(opened + closed + 2))
}

/// A tag up to its mark, if it has this one.
fn unmarked<'t>(tag: &'t [u8], digits: &[u8]) -> Option<&'t [u8]> {
    tag.strip_suffix(b"\"")?.strip_suffix(digits)?.strip_suffix(SIGN.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> HeaderValue {
        HeaderValue::from_str(text).unwrap()
    }

    fn asked(mark: Mark, fields: &[&str]) -> Option<String> {
        let fields = fields.iter().map(|field| (IF_NONE_MATCH, value(field)));
        let asked = mark.asked_by(&fields.collect());
        asked.map(|value| value.to_str().unwrap().to_owned())
    }

    /// A page that is still the same is known again, by the tag that the PBX knows.
    #[test]
    fn a_mark_is_put_on_and_taken_off() {
        let mark = Mark::of(["<a>", "<script>"]);
        for tag in ["\"abc\"", "W/\"abc\"", "\"\"", "\"a,b\"", "W/\"x.passgate-00000000\""] {
            let marked = mark.put_on(&value(tag)).unwrap();
            assert_ne!(marked, tag);
            assert_eq!(asked(mark, &[marked.to_str().unwrap()]).as_deref(), Some(tag));
        }
        for none in ["abc", "\"abc", "W/abc", "", "\"a\", \"b\"", "*"] {
            assert_eq!(mark.put_on(&value(none)), None, "{none}");
        }
    }

    /// Tags of the page as the PBX has it, or with something else in it, are not asked by.
    #[test]
    fn only_what_was_marked_alike_is_asked_for() {
        let (mark, other) = (Mark::of(["a", "b"]), Mark::of(["ab"]));
        assert_ne!(mark, other);
        let tag = |mark: Mark, tag: &str| mark.put_on(&value(tag)).unwrap();
        let (one, two) = (tag(mark, "\"1,\""), tag(mark, "W/\"2\""));
        let strange = tag(other, "\"3\"");
        let list = format!(
            "{}, \"plain\" ,, {},{}",
            one.to_str().unwrap(),
            strange.to_str().unwrap(),
            two.to_str().unwrap()
        );
        // Behind an empty element nothing is read: no browser sends one.
        assert_eq!(asked(mark, &[&list]).as_deref(), Some("\"1,\""));
        let list = list.replace(",, ", ", ");
        assert_eq!(asked(mark, &[&list]).as_deref(), Some("\"1,\", W/\"2\""));
        assert_eq!(asked(mark, &["\"x\"", one.to_str().unwrap()]).as_deref(), Some("\"1,\""));
        for none in ["*", "\"plain\"", "", "abc", "\"open"] {
            assert_eq!(asked(mark, &[none]), None, "{none}");
        }
        assert_eq!(asked(mark, &[]), None);
    }

    /// The rest of a page with something in it cannot be had from the PBX.
    #[test]
    fn parts_of_changed_pages_are_recognised() {
        let of = |tag: HeaderValue| wants_part_of_changed(&[(IF_RANGE, tag)].into_iter().collect());
        assert!(of(Mark::of(["a"]).put_on(&value("\"1\"")).unwrap()));
        assert!(!of(value("\"1\"")) && !of(value("Sun, 06 Nov 1994 08:49:37 GMT")));
        assert!(!wants_part_of_changed(&HeaderMap::new()));
    }
}
