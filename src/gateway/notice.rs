//! Puts Passgate's words into the portal's own pages: the notice of the warn phase (R-A2), the
//! links and messages on the login page (R-C1), the link to account security (R-D5).
//!
//! The page itself is never rewritten. `lol_html` only *finds* the places; we copy the page's bytes
//! as they came and put our own between them. Once the last place is found the parser is dropped
//! and the rest passes through untouched, so that the cost does not grow with the page. What we
//! add is ASCII, so it is right in every character set that pages are written in.

mod decode;
mod finder;
mod qualify;

use bytes::{Bytes, BytesMut};

pub use decode::ContentCoding;
pub(in crate::gateway) use decode::Decoder;
pub use qualify::{REQUEST_FIELDS_THAT_GO, RESPONSE_FIELDS_THAT_GO, injectable, wants_page};

use finder::Finder;

/// A place in a page, as a CSS selector that a streaming parser can match.
#[derive(Debug, Clone)]
pub struct PageSelector(lol_html::Selector);

impl std::str::FromStr for PageSelector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: lol_html::errors::SelectorError| error.to_string())
    }
}

/// Where something goes, seen from the element that a selector names. Only the first such element
/// counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In front of its start tag.
    Before,
    /// As its first child.
    Begin,
    /// As its last child.
    End,
    /// Behind its end tag.
    After,
}

/// What is to be put into one page.
#[derive(Debug, Clone, Default)]
pub struct InjectionPlan {
    items: Vec<Item>,
}

#[derive(Debug, Clone)]
struct Item {
    spot: Spot,
    text: String,
    /// Goes to the end of the page if its place is nowhere.
    indispensable: bool,
}

#[derive(Debug, Clone)]
enum Spot {
    BodyBegin,
    HeadEnd,
    At(PageSelector, Place),
    InputValue(PageSelector),
}

impl InjectionPlan {
    /// Puts nothing anywhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// `html` becomes the first thing in the page's body, also where the `<body>` tag is left out
    /// or comes late. A page without any place for it carries it at its end.
    #[must_use]
    pub fn at_body_begin(self, html: &str) -> Self {
        self.with(Spot::BodyBegin, ascii_only(html), true)
    }

    /// `html` (a script, say) becomes the last thing in the page's head, behind what must stand
    /// near the page's beginning (its character set); in front of the body, where the head's end is
    /// left out.
    #[must_use]
    pub fn at_head_end(self, html: &str) -> Self {
        self.with(Spot::HeadEnd, ascii_only(html), false)
    }

    /// `html` goes to the first element that `selector` names; nowhere if there is none. Inside of
    /// a list it becomes an item of it.
    #[must_use]
    pub fn at(self, selector: &PageSelector, place: Place, html: &str) -> Self {
        self.with(Spot::At(selector.clone(), place), ascii_only(html), false)
    }

    /// As [`Self::at`], but a page without such an element carries `html` at its end.
    #[must_use]
    pub fn at_or_end(self, selector: &PageSelector, place: Place, html: &str) -> Self {
        self.with(Spot::At(selector.clone(), place), ascii_only(html), true)
    }

    /// The first input that `selector` names shows `value` (plain text).
    #[must_use]
    pub fn input_value(self, selector: &PageSelector, value: &str) -> Self {
        // The first of two attributes of one name wins (HTML, "duplicate-attribute"), so the tag's
        // own bytes can stay as they are.
        let attribute = format!(" value=\"{}\"", escape_text(value));
        self.with(Spot::InputValue(selector.clone()), attribute, false)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn with(mut self, spot: Spot, text: String, indispensable: bool) -> Self {
        self.items.push(Item { spot, text, indispensable });
        self
    }
}

/// The PBX's compressed page could not be unpacked: the answer cannot be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the page's content coding is broken")]
pub struct BrokenPage;

/// Takes a page in chunks and gives it back with the plan's additions, always in identity coding.
pub struct Injector {
    decoder: Decoder,
    items: Vec<Item>,
    /// `None` once all places are found, or when the page cannot be searched further.
    finder: Option<Box<Finder>>,
    /// Bytes that came but may still have something put between them.
    held: BytesMut,
    /// Offset of `held` in the page.
    passed: usize,
}

/// No more than this of a page is searched; what is not found by then goes to the end of the page
/// or is left out.
const MAX_SEARCHED: usize = 1024 * 1024;

impl Injector {
    /// Begins a page that comes in `coding`.
    pub fn new(plan: InjectionPlan, coding: ContentCoding) -> Self {
        let finder = (!plan.is_empty()).then(|| Box::new(Finder::new(&plan.items)));
        Self {
            decoder: Decoder::new(coding),
            items: plan.items,
            finder,
            held: BytesMut::new(),
            passed: 0,
        }
    }

    /// Takes the next chunk of the PBX's answer and returns what can be sent on.
    ///
    /// # Errors
    /// [`BrokenPage`] when a compressed page cannot be unpacked.
    pub fn push(&mut self, chunk: Bytes) -> Result<Bytes, BrokenPage> {
        let chunk = self.decoder.push(chunk)?;
        Ok(self.page(chunk))
    }

    /// Ends the page and returns the last of it.
    ///
    /// # Errors
    /// [`BrokenPage`] when a compressed page is cut off.
    pub fn finish(&mut self) -> Result<Bytes, BrokenPage> {
        let chunk = self.decoder.finish()?;
        let mut out = BytesMut::from(&self.page(chunk)[..]);
        if let Some(finder) = self.finder.take() {
            let found = finder.end();
            self.release(&found, usize::MAX, &mut out);
        }
        if self.passed > 0 {
            for item in self.items.drain(..).filter(|item| item.indispensable) {
                out.extend_from_slice(item.text.as_bytes());
            }
        }
        Ok(out.freeze())
    }

    fn page(&mut self, chunk: Bytes) -> Bytes {
        let Some(finder) = &mut self.finder else {
            self.passed = self.passed.saturating_add(chunk.len());
            return chunk;
        };
        if chunk.is_empty() {
            return chunk;
        }
        if self.passed == 0 && self.held.is_empty() && begins_as_utf16(&chunk) {
            self.finder = None;
            self.items.clear();
            return self.page(chunk);
        }
        let progress = finder.feed(&chunk);
        self.held.extend_from_slice(&chunk);
        let mut out = BytesMut::with_capacity(self.held.len() + 1024);
        let too_far = self.passed + self.held.len() > MAX_SEARCHED;
        let upto = if progress.done || too_far { usize::MAX } else { progress.settled };
        self.release(&progress.found, upto, &mut out);
        if upto == usize::MAX {
            self.finder = None;
        }
        out.freeze()
    }

    /// Moves the held bytes up to the page's offset `upto` to `out`, with what was found between
    /// them.
    fn release(&mut self, found: &[finder::Found], upto: usize, out: &mut BytesMut) {
        for place in found {
            self.pass(place.offset, out);
            if let Some(item) = self.items.get_mut(place.item) {
                let text = std::mem::take(&mut item.text);
                item.indispensable = false;
                if place.in_list {
                    out.extend_from_slice([b"<li>", text.as_bytes(), b"</li>"].concat().as_slice());
                } else {
                    out.extend_from_slice(text.as_bytes());
                }
            }
        }
        self.pass(upto, out);
    }

    fn pass(&mut self, upto: usize, out: &mut BytesMut) {
        let length = upto.saturating_sub(self.passed).min(self.held.len());
        out.extend_from_slice(&self.held.split_to(length));
        self.passed += length;
    }
}

/// Text for use in HTML, in element content and in quoted attribute values: every character that
/// is not a letter, a digit or harmless punctuation of ASCII becomes a numeric reference, which is
/// right in every character set and inert wherever a page might misplace it.
pub fn escape_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_alphanumeric() || " .,:;@_-()!?".contains(character) {
            out.push(character);
        } else if character == '\0' {
            push_reference(&mut out, char::REPLACEMENT_CHARACTER);
        } else {
            push_reference(&mut out, character);
        }
    }
    out
}

/// HTML with every character outside ASCII as a numeric reference.
fn ascii_only(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    for character in html.chars() {
        if character.is_ascii() { out.push(character) } else { push_reference(&mut out, character) }
    }
    out
}

fn push_reference(out: &mut String, character: char) {
    use std::fmt::Write;
    // Writing to a String cannot fail.
    let _ = write!(out, "&#{};", u32::from(character));
}

fn begins_as_utf16(page: &[u8]) -> bool {
    page.starts_with(&[0xfe, 0xff]) || page.starts_with(&[0xff, 0xfe])
}

/// What must hold for every page, however it is cut; called by the fuzz target and by the
/// replaying test.
#[doc(hidden)]
pub fn check_properties(page: &[u8], cut: usize) {
    const NOTICE: &str = "<div id=\"passgate-notice\"></div>";
    const LINK: &str = "<a id=\"passgate-link\"></a>";
    const SCRIPT: &str = "<script id=\"passgate-script\"></script>";
    let run = |plan: InjectionPlan, cut: usize| {
        let mut injector = Injector::new(plan, ContentCoding::Identity);
        let (one, other) = page.split_at(cut.min(page.len()));
        let mut out = Vec::new();
        for chunk in [one, other] {
            let chunk = injector.push(Bytes::copy_from_slice(chunk));
            out.extend_from_slice(&chunk.unwrap_or_default());
        }
        out.extend_from_slice(&injector.finish().unwrap_or_default());
        out
    };
    assert_eq!(run(InjectionPlan::new(), cut), page);
    let plan = || {
        let plan = InjectionPlan::new().at_body_begin(NOTICE).at_head_end(SCRIPT);
        match "form".parse() {
            Ok(form) => plan.at(&form, Place::After, LINK),
            Err(_) => plan,
        }
    };
    let whole = run(plan(), page.len());
    assert_eq!(run(plan(), cut), whole, "the cut at {cut} shows");
    let mut without = whole;
    for added in [NOTICE, LINK, SCRIPT] {
        let added = added.as_bytes();
        if let Some(at) = without.windows(added.len()).position(|window| window == added) {
            without.drain(at..at + added.len());
        }
    }
    if !page.windows(12).any(|window| window == b"id=\"passgate") {
        assert_eq!(without, page, "the page itself changed");
    }
}

#[cfg(test)]
mod tests;
