//! R-D7: "every page works on a phone": none makes it load much. `docs/pages.md` lists what each
//! weighs; `make page-weights` writes its table anew.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::support::{Browser, tour};

/// A page with everything that it loads, in bytes without compression.
const HEAVIEST: u64 = 50_000;
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pages.md");
const TABLE: [&str; 2] = ["<!-- the table -->\n", "<!-- its end -->\n"];

/// What a page loads, in bytes: as it is, and as it comes over the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Weight {
    html: u64,
    parts: u64,
    sent: u64,
}

impl Weight {
    fn total(self) -> u64 {
        self.html + self.parts
    }
}

/// What was weighed on a tour, by the names of its stops; and the pages it led to.
#[derive(Default)]
struct Scales {
    weights: RefCell<BTreeMap<String, Weight>>,
    paths: RefCell<BTreeSet<String>>,
}

impl Scales {
    async fn weigh(&self, browser: &Browser, name: &str) {
        let sizes = "const [page] = performance.getEntriesByType('navigation');
                     const loaded = performance.getEntriesByType('resource');
                     const size = entry => [entry.name, entry.decodedBodySize, entry.encodedBodySize];
                     const icon = document.querySelector('link[rel=icon]').href;
                     return [size(page), icon, ...loaded.map(size)]";
        let found = browser.call(sizes, Vec::new()).await;
        let [page, icon, loaded @ ..] = found.as_array().unwrap().as_slice() else {
            panic!("{name}: {found}")
        };
        let number = |entry: &Value, at: usize| entry[at].as_u64().unwrap();
        let icon = icon.as_str().unwrap();
        // The browser loads it when it likes.
        let loaded: Vec<_> = loaded.iter().filter(|entry| entry[0] != icon).collect();
        let icon = size_of(icon).await;
        let sum = |at| loaded.iter().map(|entry| number(entry, at)).sum::<u64>();
        assert!(loaded.len() >= 3 && loaded.iter().all(|entry| number(entry, 1) > 0), "{found}");
        let weight = Weight {
            html: number(page, 1),
            parts: sum(1) + icon,
            sent: number(page, 2) + sum(2) + icon,
        };
        assert!(weight.html > 1000, "{name}: {found}");
        self.weights.borrow_mut().insert(name.to_owned(), weight);
        let path = browser.path().await;
        self.paths.borrow_mut().insert(path.split('?').next().unwrap_or_default().to_owned());
    }

    /// Every page in every state.
    async fn of(language: &str) -> Self {
        let scales = Self::default();
        let weigh = async |browser: &Browser, name: &str| scales.weigh(browser, name).await;
        tokio::join!(
            tour::visitors(language, &weigh),
            tour::links(language, &weigh),
            tour::security(language, &weigh),
            tour::held(language, &weigh),
        );
        scales
    }
}

/// The size of what lies at this address of a gateway.
async fn size_of(address: &str) -> u64 {
    let client = reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap();
    let answer = client.get(address).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{address}");
    answer.bytes().await.unwrap().len() as u64
}

fn table(english: &BTreeMap<String, Weight>, spanish: &BTreeMap<String, Weight>) -> String {
    let kb = |bytes: u64| format!("{}.{}", bytes / 1000, bytes % 1000 / 100);
    let mut table = "| page | HTML | style sheet, scripts, icon | all of it | in Spanish |\n\
                     |---|---|---|---|---|\n"
        .to_owned();
    for (name, weight) in english {
        let Weight { html, parts, .. } = *weight;
        let cells = [html, parts, weight.total(), spanish[name].total()].map(kb).join(" | ");
        table += &format!("| {name} | {cells} |\n");
    }
    table
}

/// R-D7, "50 KB": no own page, in no state and no language, weighs more, all of it together and not
/// compressed. The table in the documentation is of these pages and not far from what they weigh.
#[tokio::test(flavor = "multi_thread")]
async fn no_page_is_heavy() {
    let english = Scales::of("en").await;
    let spanish = Scales::of("es").await;
    every_page_was_there(&english.paths.borrow());
    let (english, spanish) = (english.weights.into_inner(), spanish.weights.into_inner());
    for (name, weight) in english.iter().chain(&spanish) {
        assert!(weight.total() <= HEAVIEST, "{name}: {weight:?}");
        assert_eq!(weight.sent, weight.total(), "{name}: nothing is compressed");
    }

    let written = table(&english, &spanish);
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let (before, rest) = document.split_once(TABLE[0]).unwrap();
    let (present, after) = rest.split_once(TABLE[1]).unwrap();
    if std::env::var_os("PASSGATE_PAGE_WEIGHTS").is_some() {
        std::fs::write(DOCUMENT, [before, TABLE[0], &written, TABLE[1], after].concat()).unwrap();
        return;
    }
    let rows = |table: &str| -> Vec<Vec<String>> {
        table.lines().map(|line| line.split(" | ").map(str::to_owned).collect()).collect()
    };
    let (rows, present) = (rows(&written), rows(present));
    let names = |rows: &[Vec<String>]| rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(names(&rows), names(&present), "`make page-weights` writes docs/pages.md anew");
    for (row, present) in rows.iter().zip(&present).skip(2) {
        let [now, then] = [row, present].map(|row| row[3].parse::<f64>().unwrap());
        assert!((now - then).abs() < 3.0, "{row:?}: `make page-weights` writes docs/pages.md anew");
    }
}

/// The tour leads to every page that the router has; `session` answers scripts only.
fn every_page_was_there(paths: &BTreeSet<String>) {
    let router = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/pages/mod.rs");
    let router = std::fs::read_to_string(router).unwrap();
    let pages = router.split("&at(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0));
    let pages: Vec<_> = pages
        .filter(|page| !page.is_empty() && *page != "session" && !page.contains('/'))
        .collect();
    assert!(pages.len() >= 12, "{pages:?}");
    for page in pages {
        assert!(paths.contains(&format!("/account/{page}")), "the tour misses {page}: {paths:?}");
    }
}
