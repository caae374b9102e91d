//! Unpacks compressed pages as they stream in.

use std::io::{self, Write};

use brotli::DecompressorWriter;
use bytes::Bytes;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::BrokenPage;

/// How an answer's body is packed (RFC 9110 §8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCoding {
    /// Not at all.
    Identity,
    /// `gzip`, `x-gzip`.
    Gzip,
    /// `deflate`: zlib by the RFC, raw by some servers; both are read.
    Deflate,
    /// `br`.
    Brotli,
}

impl ContentCoding {
    /// Reads a `Content-Encoding` field; `None` for a coding, or several, that we do not unpack.
    pub fn of(content_encoding: Option<&[u8]>) -> Option<Self> {
        let coding = content_encoding.unwrap_or_default().trim_ascii();
        let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
        if coding.is_empty() || is("identity") {
            Some(Self::Identity)
        } else if is("gzip") || is("x-gzip") {
            Some(Self::Gzip)
        } else if is("deflate") {
            Some(Self::Deflate)
        } else if is("br") {
            Some(Self::Brotli)
        } else {
            None
        }
    }
}

/// One chunk never unpacks to more than this: what does is not a page.
const MAX_UNPACKED: usize = 16 * 1024 * 1024;

/// Unpacks in pieces.
pub(in crate::gateway) enum Decoder {
    Identity,
    Gzip(Box<MultiGzDecoder<Bounded>>),
    /// The first bytes tell zlib from raw.
    DeflateUndecided(Vec<u8>),
    Zlib(Box<ZlibDecoder<Bounded>>),
    RawDeflate(Box<DeflateDecoder<Bounded>>),
    Brotli(Box<DecompressorWriter<Bounded>>),
}

impl Decoder {
    pub(in crate::gateway) fn new(coding: ContentCoding) -> Self {
        match coding {
            ContentCoding::Identity => Self::Identity,
            ContentCoding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(Bounded::default()))),
            ContentCoding::Deflate => Self::DeflateUndecided(Vec::new()),
            ContentCoding::Brotli => {
                Self::Brotli(Box::new(DecompressorWriter::new(Bounded::default(), 16 * 1024)))
            }
        }
    }

    pub(in crate::gateway) fn push(&mut self, chunk: Bytes) -> Result<Bytes, BrokenPage> {
        if chunk.is_empty() {
            return Ok(chunk);
        }
        match self {
            Self::Identity => Ok(chunk),
            Self::DeflateUndecided(first) => {
                first.extend_from_slice(&chunk);
                let [cmf, flags, ..] = first[..] else { return Ok(Bytes::new()) };
                let first = Bytes::from(std::mem::take(first));
                // RFC 1950 §2.2: method 8, and a header that is a multiple of 31.
                let is_zlib = cmf & 15 == 8 && (u16::from(cmf) << 8 | u16::from(flags)) % 31 == 0;
                *self = if is_zlib {
                    Self::Zlib(Box::new(ZlibDecoder::new(Bounded::default())))
                } else {
                    Self::RawDeflate(Box::new(DeflateDecoder::new(Bounded::default())))
                };
                self.push(first)
            }
            Self::Gzip(decoder) => {
                write(decoder.as_mut(), &chunk)?;
                Ok(decoder.get_mut().take())
            }
            Self::Zlib(decoder) => {
                write(decoder.as_mut(), &chunk)?;
                Ok(decoder.get_mut().take())
            }
            Self::RawDeflate(decoder) => {
                write(decoder.as_mut(), &chunk)?;
                Ok(decoder.get_mut().take())
            }
            Self::Brotli(decoder) => {
                write(decoder.as_mut(), &chunk)?;
                Ok(decoder.get_mut().take())
            }
        }
    }

    pub(in crate::gateway) fn finish(&mut self) -> Result<Bytes, BrokenPage> {
        match self {
            Self::Identity => Ok(Bytes::new()),
            Self::DeflateUndecided(first) if first.is_empty() => Ok(Bytes::new()),
            Self::DeflateUndecided(_) => Err(BrokenPage),
            Self::Gzip(decoder) => {
                decoder.try_finish().map_err(|_| BrokenPage)?;
                Ok(decoder.get_mut().take())
            }
            Self::Zlib(decoder) => {
                decoder.try_finish().map_err(|_| BrokenPage)?;
                Ok(decoder.get_mut().take())
            }
            Self::RawDeflate(decoder) => {
                decoder.try_finish().map_err(|_| BrokenPage)?;
                Ok(decoder.get_mut().take())
            }
            Self::Brotli(decoder) => {
                decoder.close().map_err(|_| BrokenPage)?;
                Ok(decoder.get_mut().take())
            }
        }
    }
}

/// Hands all of `chunk` to the decoder, and all it can tell by now to its output: pages that come
/// bit by bit go on bit by bit.
fn write(decoder: &mut impl Write, chunk: &[u8]) -> Result<(), BrokenPage> {
    decoder.write_all(chunk).and_then(|()| decoder.flush()).map_err(|_| BrokenPage)
}

/// Collects what a decoder gives out, up to a limit.
#[derive(Default)]
pub(in crate::gateway) struct Bounded(Vec<u8>);

impl Bounded {
    fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.0))
    }
}

impl Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.0.len() + part.len() > MAX_UNPACKED {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.0.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
