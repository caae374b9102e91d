//! JWS in its compact form (RFC 7515), in the one shape that is ours. What a token says of itself
//! chooses between keys of ours and nothing else: everything but our three members is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::keys::SigningKey;

pub(super) const ALGORITHM: &str = "EdDSA";
pub(super) const TYPE: &str = "at+jwt";

/// Longest token that is looked at.
const LONGEST: usize = 8 * 1024;
/// Longest header, encoded.
const LONGEST_HEADER: usize = 1024;

/// A token's three parts, none of them read yet.
pub(super) struct Compact<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    signed: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

impl<'a> Compact<'a> {
    /// `None`: too long, or not three parts.
    pub fn of(token: &'a str) -> Option<Self> {
        if token.len() > LONGEST {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        (!payload.contains('.')).then_some(Self { header, payload, signature, signed })
    }

    /// The key that the header names; `None` unless the header is as ours are. A member that comes
    /// twice is none of ours either.
    pub fn kid(&self) -> Option<String> {
        let header: Header = serde_json::from_slice(&decode(self.header)?).ok()?;
        (header.alg == ALGORITHM && header.typ == TYPE).then_some(header.kid)
    }

    /// The payload, if `key` signed it.
    pub fn payload(&self, key: &SigningKey) -> Option<Vec<u8>> {
        let signature: [u8; 64] = decode_array(self.signature)?;
        UnparsedPublicKey::new(&ED25519, key.public())
            .verify(self.signed.as_bytes(), &signature)
            .ok()?;
        decode(self.payload)
    }
}

/// The header of whatever may be a JWS, for a first look.
pub(super) fn any_header(token: &str) -> Option<Map<String, Value>> {
    let (header, rest) = token.split_once('.')?;
    if header.len() > LONGEST_HEADER || rest.matches('.').count() != 1 {
        return None;
    }
    serde_json::from_slice(&decode(header)?).ok()
}

/// Base64url without padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Strictly: each value has one spelling.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

pub(super) fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}
