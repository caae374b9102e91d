//! Takes voicemail PINs and the like out of the API's answers to users, as they stream through.
//!
//! The answer is never rewritten: its bytes are copied as they came, but for the hidden values. A
//! value is dropped while it comes, so nothing grows with it. What cannot be read for certain is
//! not let through ([`Unreadable`]): the answer ends there, or never begins.

mod json;
mod pieces;
mod qualify;
mod tripwire;
mod xml;

use std::sync::Arc;

use bytes::Bytes;

pub use qualify::{REQUEST_FIELDS_THAT_GO, RESPONSE_FIELDS_THAT_GO, begin, weakened};

use super::notice::{ContentCoding, Decoder};
use crate::profile::Redaction;
use json::Json;
use pieces::Pieces;
use tripwire::Tripwire;
use xml::Xml;

/// Deeper than this no answer is nested.
const MAX_DEPTH: usize = 128;

/// An answer of which it is not certain what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what the PBX answered cannot be read: {0}")]
pub struct Unreadable(&'static str);

/// Takes an answer in pieces and gives it back without what the rule hides, always in identity
/// coding.
pub struct Redactor {
    decoder: Decoder,
    rule: Arc<Redaction>,
    form: Form,
}

/// What an answer is written in.
enum Form {
    /// Nothing but blanks has come so far. Whether it calls itself JSON.
    Unknown {
        json: bool,
    },
    Json(Box<Json>),
    /// XML, or HTML; and what may stand in it.
    Xml(Box<Xml>, Tripwire),
    Other(Tripwire),
}

impl Redactor {
    /// Begins an answer that comes in `coding`. `json`: it calls itself JSON; otherwise its first
    /// byte tells.
    pub fn new(rule: Arc<Redaction>, coding: ContentCoding, json: bool) -> Self {
        Self { decoder: Decoder::new(coding), rule, form: Form::Unknown { json } }
    }

    /// Takes the next piece and returns what may be sent on.
    ///
    /// # Errors
    /// [`Unreadable`]; nothing more of this answer may be sent.
    pub fn push(&mut self, piece: Bytes) -> Result<Bytes, Unreadable> {
        let piece = self.decoder.push(piece).map_err(|_| BROKEN_CODING)?;
        self.read(piece)
    }

    /// Ends the answer and returns the last of it.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(&mut self) -> Result<Bytes, Unreadable> {
        let piece = self.decoder.finish().map_err(|_| BROKEN_CODING)?;
        self.read(piece)
    }

    fn read(&mut self, piece: Bytes) -> Result<Bytes, Unreadable> {
        let mut begins = 0;
        if let Form::Unknown { json } = self.form {
            let Some(first) = piece.iter().position(|byte| !is_blank(*byte)) else {
                return Ok(piece);
            };
            begins = first;
            let rule = || Arc::clone(&self.rule);
            self.form = match piece[first] {
                _ if json => Form::Json(Box::new(Json::new(rule()))),
                b'{' | b'[' => Form::Json(Box::new(Json::new(rule()))),
                b'<' => Form::Xml(Box::new(Xml::new(rule())), Tripwire::new(rule())),
                _ => Form::Other(Tripwire::new(rule())),
            };
        }
        match &mut self.form {
            Form::Unknown { .. } => Ok(piece),
            Form::Json(json) => {
                let mut out = Pieces::new(piece, json.is_dropping());
                json.push(begins, &mut out)?;
                Ok(out.done())
            }
            Form::Xml(xml, wire) => {
                wire.push(&piece)?;
                let mut out = Pieces::new(piece, xml.is_dropping());
                xml.push(begins, &mut out)?;
                Ok(out.done())
            }
            Form::Other(wire) => wire.push(&piece).map(|()| piece),
        }
    }
}

const BROKEN_CODING: Unreadable = Unreadable("its content coding is broken");

/// What may stand before a text: white space, the byte order mark of UTF-8, and the separator of
/// JSON text sequences (RFC 7464).
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, 0xef | 0xbb | 0xbf | 0x1e | 0x0b)
}

/// In UTF-16 and UTF-32 names would not be recognised.
fn refuse_nul(piece: &[u8]) -> Result<(), Unreadable> {
    match memchr::memchr(0, piece) {
        Some(_) => Err(Unreadable("a NUL byte: the text is not in UTF-8")),
        None => Ok(()),
    }
}

/// What must hold for every answer, however it is cut; called by the fuzz target and by the
/// replaying test.
#[doc(hidden)]
pub fn check_properties(rule: &Arc<Redaction>, answer: &[u8], cut: usize) {
    let run = |cut: usize| {
        let mut redactor = Redactor::new(Arc::clone(rule), ContentCoding::Identity, false);
        let (one, other) = answer.split_at(cut.min(answer.len()));
        let mut out = Vec::new();
        for piece in [one, other] {
            out.extend_from_slice(&redactor.push(Bytes::copy_from_slice(piece))?);
        }
        out.extend_from_slice(&redactor.finish()?);
        Ok(out)
    };
    let run = |cut| run(cut).map_err(|_: Unreadable| "unreadable");
    let whole = run(answer.len());
    assert_eq!(run(cut), whole, "the cut at {cut} shows");
    // What a client reads in the answer has nothing in it that is hidden.
    let Ok(text) = whole else { return };
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    if let Ok(value) = serde_json::from_slice(text) {
        assert!(json::shows_nothing(rule, &value), "{}", String::from_utf8_lossy(text));
    }
}

#[cfg(test)]
mod tests;
