//! `requests_total` and `request_duration_seconds`: counted on every request, so every label
//! combination has its cell from the start; counting is two or three atomic additions.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// The `route` label: the route table's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// Passgate's own pages.
    OwnPage,
    /// A login endpoint of the portal.
    Login,
    /// A sign-out endpoint of the portal.
    Logout,
    /// A token endpoint.
    Token,
    /// The PBX's API.
    Api,
    /// Public and static paths of the portal.
    Public,
    /// Everything else of the portal.
    Portal,
    /// Refused before it had a route: not one canonical path, bad framing.
    Invalid,
    /// Plain HTTP, redirected to HTTPS.
    Redirect,
}

impl Route {
    const ALL: [Self; 9] = [
        Self::OwnPage,
        Self::Login,
        Self::Logout,
        Self::Token,
        Self::Api,
        Self::Public,
        Self::Portal,
        Self::Invalid,
        Self::Redirect,
    ];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OwnPage => "own_page",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Token => "token",
            Self::Api => "api",
            Self::Public => "public",
            Self::Portal => "portal",
            Self::Invalid => "invalid",
            Self::Redirect => "redirect",
        }
    }
}

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];

/// The status codes with a label of their own; everything else is `other`, so that a strange PBX
/// cannot grow the exposition.
const CODES: [u16; 45] = [
    101, 200, 201, 202, 203, 204, 205, 206, 207, 300, 301, 302, 303, 304, 307, 308, 400, 401, 402,
    403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 422, 423, 425, 426, 428,
    429, 431, 500, 501, 502, 503, 504,
];
const OTHER_CODE: usize = CODES.len();

/// Upper bounds of the duration's buckets, in microseconds.
const BOUNDS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000, 60_000_000,
];

type Codes = [AtomicU64; CODES.len() + 1];

#[derive(Default)]
struct RouteCells {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_micros: AtomicU64,
    codes: [CodeCells; METHODS.len()],
}

struct CodeCells(Codes);

impl Default for CodeCells {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// All cells.
pub(super) struct RequestMetrics {
    routes: [RouteCells; Route::ALL.len()],
    /// Status code − 100 → index into [`CODES`].
    code_index: [u8; 500],
}

impl Default for RequestMetrics {
    fn default() -> Self {
        let mut code_index = [OTHER_CODE as u8; 500];
        for (index, code) in CODES.iter().enumerate() {
            code_index[usize::from(*code) - 100] = index as u8;
        }
        Self { routes: std::array::from_fn(|_| RouteCells::default()), code_index }
    }
}

impl RequestMetrics {
    /// Counts one finished request.
    #[inline]
    pub(super) fn count(&self, route: Route, method: &str, code: u16, took: Duration) {
        let cells = &self.routes[route as usize];
        let method = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let code = usize::from(code)
            .checked_sub(100)
            .and_then(|offset| self.code_index.get(offset))
            .map_or(OTHER_CODE, |index| usize::from(*index));
        cells.codes[method].0[code].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        cells.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        cells.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    fn encode_counts(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "requests",
            "Requests answered",
            None,
            MetricType::Counter,
        )?;
        for route in Route::ALL {
            for (method, cells) in METHODS.iter().zip(&self.routes[route as usize].codes) {
                for (index, cell) in cells.0.iter().enumerate() {
                    let count = cell.load(Ordering::Relaxed);
                    if count > 0 {
                        let code = CODES.get(index).map_or("other".into(), u16::to_string);
                        let labels =
                            [("route", route.as_str()), ("method", method), ("code", &code)];
                        metric
                            .encode_family(&labels)?
                            .encode_counter::<NoLabelSet, _, f64>(&count, None)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn encode_durations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "request_duration_seconds",
            "From the end of a request's head to the end of its answer",
            None,
            MetricType::Histogram,
        )?;
        for route in Route::ALL {
            let cells = &self.routes[route as usize];
            let bounds = BOUNDS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> =
                bounds.zip(cells.buckets.iter().map(|cell| cell.load(Ordering::Relaxed))).collect();
            let count: u64 = buckets.iter().map(|(_, count)| count).sum();
            if count > 0 {
                let sum = cells.sum_micros.load(Ordering::Relaxed) as f64 / 1e6;
                metric
                    .encode_family(&[("route", route.as_str())])?
                    .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}

impl Collector for RequestMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_counts(&mut encoder)?;
        self.encode_durations(&mut encoder)
    }
}

impl fmt::Debug for RequestMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestMetrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_at_its_own_index() {
        for (index, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, index, "{}", route.as_str());
        }
        assert!(CODES.is_sorted());
    }
}
