//! What every request pays, piece by piece. `cargo bench --bench hot_path`; the figures to reach
//! are in docs/performance.md.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use passgate::gateway::canonical_path::canonical;
use passgate::gateway::cookies;
use passgate::gateway::credential_scan::CredentialScan;
use passgate::gateway::notice::{ContentCoding, InjectionPlan, Injector};
use passgate::gateway::sanitise::{ConnectionTokens, names_that_must_go};

fn canonical_path(c: &mut Criterion) {
    let mut group = c.benchmark_group("canonical path");
    group.bench_function("ordinary", |b| {
        b.iter(|| canonical(black_box("/portal/users/edit/1001@abc-company.11111.service?tab=2")));
    });
    group.bench_function("to be changed", |b| {
        b.iter(|| canonical(black_box("//portal/./users/%65dit/1001%40abc-company.11111.service")));
    });
    group.finish();
}

fn cookie(c: &mut Criterion) {
    let header: &[u8] = b"lang=en; tz=Europe%2FBerlin; \
        __Host-passgate=4h5j2k1l9s8d7f6g5h4j3k2l1a0s9d8f7g6h5j4k3l2; theme=dark";
    let jar = ["PHPSESSID", "CAKEPHP"];
    let mut group = c.benchmark_group("cookie");
    group.bench_function("find", |b| {
        b.iter(|| cookies::find([black_box(header)], cookies::SESSION));
    });
    group.bench_function("find and strip", |b| {
        b.iter(|| {
            let found = cookies::find([black_box(header)], cookies::SESSION).map(str::len);
            (found, cookies::remaining(header, &jar).len())
        });
    });
    group.finish();
}

fn headers(c: &mut Criterion) {
    let browser: HeaderMap = [
        ("host", "portal.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br"),
        ("referer", "https://portal.example.com/portal/home"),
        ("connection", "keep-alive"),
        ("cookie", "__Host-passgate=x"),
        ("upgrade-insecure-requests", "1"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "same-origin"),
        ("priority", "u=0, i"),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
    .collect();
    c.bench_function("header hygiene", |b| {
        b.iter(|| {
            let values = browser.get_all("connection").iter().map(HeaderValue::as_bytes);
            let tokens = ConnectionTokens::read(values).unwrap_or_default();
            names_that_must_go(black_box(&browser), &tokens).count()
        });
    });
}

fn notice(c: &mut Criterion) {
    let rows = "<tr><td class=\"a\">1001</td><td><a href=\"/portal/users\">x</a></td></tr>\n";
    let head = "<script src=\"/portal/js/x.js\"></script>\n".repeat(12);
    let page = format!(
        "<!doctype html><html><head><title>Home</title>{head}</head><body><table>{}</table></body></html>",
        rows.repeat(50 * 1024 / rows.len())
    );
    let chunks: Vec<Bytes> =
        page.as_bytes().chunks(16 * 1024).map(Bytes::copy_from_slice).collect();
    let mut group = c.benchmark_group("50-KB page");
    group.throughput(Throughput::Bytes(page.len() as u64));
    for (name, plan) in [
        ("without notice", InjectionPlan::new()),
        ("with notice", InjectionPlan::new().at_body_begin("<div id=passgate-notice></div>")),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut injector = Injector::new(plan.clone(), ContentCoding::Identity);
                let mut length = 0;
                for chunk in &chunks {
                    length += injector.push(chunk.clone()).map_or(0, |out| out.len());
                }
                length + injector.finish().map_or(0, |out| out.len())
            });
        });
    }
    group.finish();
}

fn credential_scan(c: &mut Criterion) {
    let scan =
        CredentialScan::new([("data[Login][username]", false), ("data[Login][password]", false)]);
    c.bench_function("credential scan of a query", |b| {
        b.iter(|| scan.query(black_box("tab=2&sort=name&filter%5Bstate%5D=active&page=3")));
    });
}

criterion_group!(benches, canonical_path, cookie, headers, notice, credential_scan);
criterion_main!(benches);
