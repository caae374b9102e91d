//! Style sheets, scripts and pictures of the pages: part of the binary or of a brand, addressed by
//! the hash of their content, so that browsers may keep them for good.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::brand::{Brand, Brands};

/// One file.
struct Asset {
    name: String,
    content_type: &'static str,
    content: Bytes,
}

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Name, type and content of what ships.
const SHIPPED: [(&str, &str, &str); 7] = [
    ("account.css", CSS, include_str!("../../templates/static/account.css")),
    ("account.js", SCRIPT, include_str!("../../templates/static/account.js")),
    ("theme.js", SCRIPT, include_str!("../../templates/static/theme.js")),
    ("notice.css", CSS, include_str!("../../templates/static/notice.css")),
    ("session.js", SCRIPT, include_str!("../../templates/static/session.js")),
    ("session.css", CSS, include_str!("../../templates/static/session.css")),
    ("icon.svg", SVG, include_str!("../../templates/static/icon.svg")),
];

/// The hash of all files that pages of this brand use, as it stands in their addresses.
pub(super) fn fingerprint(brand: &Brand) -> String {
    hash(&files(brand))
}

fn hash(files: &[Asset]) -> String {
    let mut hash = Sha256::new();
    for asset in files {
        hash.update(&asset.name);
        hash.update(&asset.content);
    }
    hash.finalize().iter().take(6).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What ships, and the brand's own colours and logo.
fn files(brand: &Brand) -> Vec<Asset> {
    let shipped = SHIPPED.iter().map(|(name, content_type, content)| Asset {
        name: (*name).to_owned(),
        content_type,
        content: Bytes::from_static(content.as_bytes()),
    });
    let colours = brand.accent.as_ref().map(|accent| Asset {
        name: "brand.css".to_owned(),
        content_type: CSS,
        content: accent.style_sheet().into(),
    });
    let logo = brand.logo.as_ref().map(|logo| Asset {
        name: format!("logo.{}", logo.ending),
        content_type: logo.content_type,
        content: logo.content.clone(),
    });
    shipped.chain(colours).chain(logo).collect()
}

/// The files of all brands.
pub(super) struct Assets {
    sets: Vec<AssetSet>,
}

/// The files of one brand, and their hash.
struct AssetSet {
    hash: String,
    files: Vec<Asset>,
}

impl Assets {
    /// Prepares the files of these brands.
    pub fn new(brands: &Brands) -> Self {
        let set = |files: Vec<Asset>| AssetSet { hash: hash(&files), files };
        Self { sets: brands.iter().map(|brand| set(files(brand))).collect() }
    }

    /// Answers `{prefix}/static/{hash}/{name}`; `None` if there is no such file. A page that was
    /// served before an upgrade still gets a file, but one that is not kept.
    pub fn serve(&self, hash: &str, name: &str, headers: &HeaderMap) -> Option<Response<Bytes>> {
        let known = self.sets.iter().find(|set| set.hash == hash);
        let kept = if known.is_some() { "public, max-age=31536000, immutable" } else { "no-cache" };
        let set = known.or_else(|| self.sets.first())?;
        let asset = set.files.iter().find(|asset| asset.name == name)?;
        Some(asset.answer(&set.hash, kept, headers))
    }
}

impl Asset {
    fn answer(&self, hash: &str, kept: &'static str, headers: &HeaderMap) -> Response<Bytes> {
        let tag = format!("\"{hash}\"");
        let known = headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|candidate| candidate.trim().trim_start_matches("W/") == tag);
        let mut response = Response::new(match known {
            true => Bytes::new(),
            false => self.content.clone(),
        });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            let content_type = HeaderValue::from_static(self.content_type);
            response.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(kept));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }
}
