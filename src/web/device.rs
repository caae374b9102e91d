//! What a `User-Agent` says, in words for the owner of a session: the browser and the system, or
//! the name that an app gives itself. Only well-known names; a wrong guess would frighten people.

use super::texts::Texts;

/// A device in words.
pub(super) fn words(texts: &Texts, user_agent: &str) -> String {
    match (program(user_agent), system(user_agent)) {
        (Some(program), Some(system)) => {
            texts.fill("device.on", &[("program", &program), ("system", system)])
        }
        (Some(program), None) => program,
        (None, Some(system)) => system.to_owned(),
        (None, None) => texts.get("device.unknown").to_owned(),
    }
}

/// Mark in the header → name. Browsers imitate one another: the first mark that is found counts,
/// so those that imitate come before those that are imitated.
const BROWSERS: [(&str, &str); 13] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

const SYSTEMS: [(&str, &str); 9] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
    ("FreeBSD", "FreeBSD"),
];

/// A longer name of an app is none.
const LONGEST: usize = 40;

fn program(user_agent: &str) -> Option<String> {
    let known = BROWSERS.iter().find(|(mark, _)| user_agent.contains(mark));
    if let Some((_, name)) = known {
        return Some((*name).to_owned());
    }
    // An app names itself first: `Softphone/3.1 (…)`. Every browser says `Mozilla` there.
    let first = user_agent.split(['/', '(', ';']).next().unwrap_or_default().trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || " ._-".contains(c);
    let named = !first.is_empty() && first.len() <= LONGEST && first.chars().all(plain);
    (named && first != "Mozilla").then(|| first.to_owned())
}

fn system(user_agent: &str) -> Option<&'static str> {
    SYSTEMS.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::super::overrides::Overrides;
    use super::*;
    use crate::domain::language::Language;

    /// R-C8: people recognise their devices; what is not known is called unknown.
    #[test]
    fn devices_in_words() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (user_agent, said) in [
            (
                format!(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/126.0 Safari/537.36"
                ),
                "Chrome on Windows",
            ),
            (
                format!(
                    "Mozilla/5.0 (Windows NT 10.0) {webkit} Chrome/126.0 Safari/537.36 Edg/126.0"
                ),
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".into(),
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like \
                 Gecko) Version/17.5 Safari/605.1.15"
                    .into(),
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 \
                 (KHTML, like Gecko) CriOS/126.0 Mobile/15E148 Safari/604.1"
                    .into(),
                "Chrome on iPhone",
            ),
            (
                format!(
                    "Mozilla/5.0 (Linux; Android 14; SM-S921B) {webkit} SamsungBrowser/25.0 \
                     Chrome/121.0 Mobile Safari/537.36"
                ),
                "Samsung Internet on Android",
            ),
            (
                format!(
                    "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {webkit} Chrome/126.0 Safari/537.36"
                ),
                "Chrome on ChromeOS",
            ),
            ("Acme-Softphone/3.1 (Windows)".into(), "Acme-Softphone on Windows"),
            ("curl/8.5.0".into(), "curl"),
            ("Mozilla/5.0 (X11; Linux x86_64)".into(), "Linux"),
            ("Mozilla/5.0".into(), "Unknown device"),
            (String::new(), "Unknown device"),
            ("<script>alert(1)</script>".into(), "Unknown device"),
            ("x".repeat(4000), "Unknown device"),
        ] {
            let english =
                Texts::new(&Language::parse("en").unwrap(), &Overrides::default());
            assert_eq!(words(&english, &user_agent), said, "{user_agent}");
        }
    }
}
