//! Style sheets, scripts and pictures of the pages: part of the binary, addressed by the hash of
//! their content, so that browsers may keep them for good.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::brand::{Brand, Brands};

/// One file.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const ASSETS: [Asset; 7] = [
    Asset {
        name: "account.css",
        content_type: CSS,
        content: include_str!("../../templates/static/account.css"),
    },
    Asset {
        name: "account.js",
        content_type: SCRIPT,
        content: include_str!("../../templates/static/account.js"),
    },
    Asset {
        name: "theme.js",
        content_type: SCRIPT,
        content: include_str!("../../templates/static/theme.js"),
    },
    Asset {
        name: "notice.css",
        content_type: CSS,
        content: include_str!("../../templates/static/notice.css"),
    },
    Asset {
        name: "session.js",
        content_type: SCRIPT,
        content: include_str!("../../templates/static/session.js"),
    },
    Asset {
        name: "session.css",
        content_type: CSS,
        content: include_str!("../../templates/static/session.css"),
    },
    Asset {
        name: "icon.svg",
        content_type: SVG,
        content: include_str!("../../templates/static/icon.svg"),
    },
];

/// The hash of all files that pages of this brand use, as it stands in their addresses.
pub(super) fn fingerprint(brand: &Brand) -> String {
    let mut hash = Sha256::new();
    for asset in &ASSETS {
        hash.update(asset.name);
        hash.update(asset.content);
    }
    for (name, _, content) in own_files(brand) {
        hash.update(name);
        hash.update(content);
    }
    hash.finalize().iter().take(6).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Name, type and content of a brand's own files.
fn own_files(brand: &Brand) -> Vec<(String, &'static str, Bytes)> {
    let colours = brand
        .accent
        .as_ref()
        .map(|accent| ("brand.css".to_owned(), CSS, Bytes::from(accent.style_sheet())));
    let logo = brand
        .logo
        .as_ref()
        .map(|logo| (format!("logo.{}", logo.ending), logo.content_type, logo.content.clone()));
    colours.into_iter().chain(logo).collect()
}

/// The files of all brands, by the hash in their addresses.
pub(super) struct Assets {
    /// Hash, and the brand's own files.
    sets: Vec<(String, Vec<(String, &'static str, Bytes)>)>,
}

impl Assets {
    /// Prepares the files of these brands.
    pub fn new(brands: &Brands) -> Self {
        Self { sets: brands.iter().map(|brand| (fingerprint(brand), own_files(brand))).collect() }
    }

    /// Answers `{prefix}/static/{hash}/{name}`; `None` if there is no such file. A page that was
    /// served before an upgrade still gets a file, but one that is not kept.
    pub fn serve(&self, hash: &str, name: &str, headers: &HeaderMap) -> Option<Response<Bytes>> {
        let set = self.sets.iter().find(|(known, _)| known == hash);
        let kept = if set.is_some() { "public, max-age=31536000, immutable" } else { "no-cache" };
        let (current, own) = set.or_else(|| self.sets.first())?;
        let shipped = ASSETS
            .iter()
            .find(|asset| asset.name == name)
            .map(|asset| (asset.content_type, Bytes::from_static(asset.content.as_bytes())));
        let (content_type, content) = shipped.or_else(|| {
            let own = own.iter().find(|(other, _, _)| other == name);
            own.map(|(_, content_type, content)| (*content_type, content.clone()))
        })?;
        Some(file(current, kept, content_type, content, headers))
    }
}

fn file(
    current: &str,
    kept: &'static str,
    content_type: &'static str,
    content: Bytes,
    headers: &HeaderMap,
) -> Response<Bytes> {
    let tag = format!("\"{current}\"");
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|candidate| candidate.trim().trim_start_matches("W/") == tag);
    let mut response = Response::new(match known {
        true => Bytes::new(),
        false => content,
    });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}
