//! Style sheets, scripts and pictures of the pages: part of the binary, addressed by the hash of
//! their content, so that browsers may keep them for good.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use sha2::{Digest, Sha256};

/// One file.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const ASSETS: [Asset; 5] = [
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
        name: "icon.svg",
        content_type: SVG,
        content: include_str!("../../templates/static/icon.svg"),
    },
];

/// The hash of all files, as it stands in their addresses.
pub(super) fn fingerprint() -> String {
    let mut hash = Sha256::new();
    for asset in &ASSETS {
        hash.update(asset.name);
        hash.update(asset.content);
    }
    hash.finalize().iter().take(6).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Answers `{prefix}/static/{hash}/{name}`; `None` if there is no such file. A page that was
/// served before an upgrade still gets a file, but one that is not kept.
pub(super) fn serve(
    current: &str,
    hash: &str,
    name: &str,
    headers: &HeaderMap,
) -> Option<Response<Bytes>> {
    let asset = ASSETS.iter().find(|asset| asset.name == name)?;
    let kept = if hash == current { "public, max-age=31536000, immutable" } else { "no-cache" };
    let tag = format!("\"{current}\"");
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|candidate| candidate.trim().trim_start_matches("W/") == tag);
    let mut response = Response::new(match known {
        true => Bytes::new(),
        false => Bytes::from_static(asset.content.as_bytes()),
    });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    Some(response)
}
