use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;

fn of(tag: &str) -> Texts {
    Texts::new(&Language::parse(tag).unwrap(), &Overrides::default())
}

#[test]
fn values_are_filled_in_once() {
    let values = [("login", "{minutes}<b>"), ("minutes", "3")];
    assert_eq!(interpolate("{login} waits {minutes} {x} {", &values), "{minutes}<b> waits 3 {x} {");
}

#[test]
fn numbers_choose_their_form() {
    let texts = of("en");
    assert_eq!(texts.count("minutes", 1), "1 minute");
    assert_eq!(texts.count("minutes", 15), "15 minutes");
    for (minutes, said) in [
        (0, "1 minute"),
        (30, "30 minutes"),
        (60, "1 hour"),
        (90, "90 minutes"),
        (24 * 60, "24 hours"),
        (72 * 60, "3 days"),
        (73 * 60, "73 hours"),
    ] {
        assert_eq!(texts.span(Duration::from_secs(minutes * 60)), said);
    }
    assert_eq!(texts.span(Duration::from_millis(3_599_900)), "1 hour");
}

/// R-D7, texts are translatable: Spanish has its own forms, and its own months in dates.
#[test]
fn numbers_and_dates_in_spanish() {
    let texts = of("es");
    for (minutes, said) in
        [(1, "1 minuto"), (15, "15 minutos"), (60, "1 hora"), (1440, "24 horas"), (4320, "3 días")]
    {
        assert_eq!(texts.span(Duration::from_secs(minutes * 60)), said);
    }
    let at = |time: &str| time.parse::<Timestamp>().unwrap().to_zoned(TimeZone::UTC);
    let march = at("2031-03-01T09:05:00Z");
    assert_eq!(texts.moment("language.date", &march), "1 de marzo de 2031");
    assert_eq!(texts.moment("mail.time", &march), "09:05 del 1 de marzo de 2031");
    assert_eq!(of("en").moment("language.date", &march), "1 March 2031");
}

/// The month's names in English are those of strftime, and Spanish has twelve others.
#[test]
fn every_month_has_a_name() {
    let (english, spanish) = (of("en"), of("es"));
    for month in 1..=12 {
        let day = jiff::civil::date(2031, month, 20).to_zoned(TimeZone::UTC).unwrap();
        let expected = day.strftime("%-d %B %Y").to_string();
        assert_eq!(english.moment("language.date", &day), expected);
        let written = spanish.moment("language.date", &day);
        let name = written.strip_prefix("20 de ").and_then(|rest| rest.strip_suffix(" de 2031"));
        assert!(name.is_some_and(|name| name.chars().all(char::is_lowercase)), "{written}");
    }
}

/// The `{names}` in a text.
fn placeholders(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> =
        text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect();
    names.sort_unstable();
    names
}

/// R-D7, texts are translatable: every language has every text, and each says what the English one
/// says: the same values are filled in. What is missing in one of them is a defect here.
#[test]
fn all_languages_are_complete() {
    let english = parse(LOCALES[0].1).unwrap();
    assert!(english.len() > 300, "{}", english.len());
    for (code, toml) in LOCALES {
        let entries = parse(toml).unwrap();
        assert_eq!(entries.get("language.code").map(String::as_str), Some(code));
        let missing: Vec<_> = english.keys().filter(|key| !entries.contains_key(*key)).collect();
        let unknown: Vec<_> = entries.keys().filter(|key| !english.contains_key(*key)).collect();
        assert!(missing.is_empty() && unknown.is_empty(), "{code}: {missing:?} {unknown:?}");
        for (key, text) in entries {
            assert!(!text.trim().is_empty(), "{code}: {key}");
            assert_eq!(placeholders(&text), placeholders(&english[&key]), "{code}: {key}");
        }
    }
}

/// R-D7: what was copied from English and never translated.
#[test]
fn spanish_is_translated() {
    let (english, spanish) = (parse(LOCALES[0].1).unwrap(), parse(LOCALES[1].1).unwrap());
    let same_in_both = ["language.time", "mail.moment"];
    for (key, text) in spanish {
        assert!(text != english[&key] || same_in_both.contains(&key.as_str()), "{key}: {text}");
    }
}

/// Texts never say "password" or "PIN" without saying which.
#[test]
fn the_words_are_portal_password_and_voicemail_pin() {
    let allowed = [
        "portal password",
        "one-time initial password",
        "voicemail pin",
        "your pin",
        "password manager",
        "frequently used passwords",
        "forgot password",
    ];
    for (key, text) in parse(LOCALES[0].1).unwrap() {
        let mut rest = text.to_lowercase();
        for words in allowed {
            rest = rest.replace(words, "");
        }
        assert!(!rest.contains("pin ") && !rest.ends_with("pin"), "{key}: {text}");
        assert!(!rest.contains("password"), "{key}: {text}");
    }
}

/// The same in Spanish: "contraseña del portal" and "PIN del buzón de voz".
#[test]
fn the_words_in_spanish() {
    let allowed = [
        "contraseña del portal",
        "contraseña actual del portal",
        "contraseñas del portal",
        "contraseña inicial de un solo uso",
        "gestor de contraseñas",
        "contraseñas más usadas",
        "¿olvidó su contraseña?",
        "pin del buzón de voz",
        "pin actual del buzón de voz",
        "su pin",
    ];
    for (key, text) in parse(LOCALES[1].1).unwrap() {
        let mut rest = text.to_lowercase();
        for words in allowed {
            rest = rest.replace(words, "");
        }
        let pin = rest.split(|c: char| !c.is_alphanumeric()).any(|word| word == "pin");
        assert!(!pin && !rest.contains("contraseña"), "{key}: {text}");
        // Questions are opened and closed, quotes are of one kind, and nobody is called "tú".
        assert_eq!(text.matches('¿').count(), text.matches('?').count(), "{key}: {text}");
        assert_eq!(text.matches('“').count(), text.matches('”').count(), "{key}: {text}");
        assert!(!text.contains(['"', '«', '»']), "{key}: {text}");
        let familiar = ["tu", "tus", "tú", "ti", "te", "puedes", "tienes", "debes", "quieres"];
        let words = text.to_lowercase();
        let mut words = words.split(|c: char| !c.is_alphanumeric());
        assert!(!words.any(|word| familiar.contains(&word)), "{key}: {text}");
    }
}

const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");

/// Our templates: pages and e-mails, in HTML and plain.
fn templates() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["pages", "mail"] {
        for entry in std::fs::read_dir(format!("{TEMPLATES}/{folder}")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            found.push((format!("{folder}/{name}"), std::fs::read_to_string(path).unwrap()));
        }
    }
    assert!(found.len() > 20, "{}", found.len());
    found
}

/// What is left of a text without everything from `open` to `close`.
fn without(text: &str, open: &str, close: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(open) {
        left.push_str(before);
        rest = after.split_once(close).map_or("", |(_, after)| after);
    }
    left + rest
}

/// Texts for users are in `locales` only: templates have none, neither between tags nor in the
/// attributes that are read out or shown.
#[test]
fn templates_have_no_words_of_their_own() {
    for (name, template) in templates() {
        let mut text = template;
        for (open, close) in [("{#", "#}"), ("{{", "}}"), ("{%", "%}"), ("<style>", "</style>")] {
            text = without(&text, open, close);
        }
        for attribute in ["aria-label", "title", "alt", "placeholder", "data-show", "data-differs"]
        {
            for said in text.split(&format!(" {attribute}=\"")).skip(1) {
                let said = said.split('"').next().unwrap_or_default();
                assert!(!said.contains(char::is_alphabetic), "{name}: {attribute}=\"{said}\"");
            }
        }
        // Written by a macro into the tag of its caller.
        let seen = without(&text, "<", ">").replace(" autofocus", "");
        assert!(!seen.contains(char::is_alphabetic), "{name}: {seen}");
    }
}

/// Every text that a template names is there: in the form that is named, or in forms for numbers.
#[test]
fn templates_name_texts_that_are_there() {
    let english = parse(LOCALES[0].1).unwrap();
    let mut named = 0;
    for (name, template) in templates() {
        for rest in template.split("t(\"").skip(1) {
            let (key, after) = rest.split_once('"').unwrap();
            // A key that is put together: `t("strength.score" ~ n)`.
            let there = match after.trim_start().starts_with('~') {
                true => english.keys().any(|known| known.starts_with(key)),
                false => english.contains_key(key) || english.contains_key(&format!("{key}.other")),
            };
            assert!(there, "{name}: {key}");
            named += 1;
        }
    }
    assert!(named > 80, "{named}");
}

/// Scripts get their words from the page: in them, no text is put together of words.
#[test]
fn scripts_have_no_words_of_their_own() {
    for name in ["account.js", "session.js", "theme.js"] {
        let script = std::fs::read_to_string(format!("{TEMPLATES}/static/{name}")).unwrap();
        let code: Vec<&str> =
            script.lines().map(|line| line.split("// ").next().unwrap_or_default()).collect();
        for literal in code.join("\n").split('"').skip(1).step_by(2) {
            let words = literal.split_whitespace().filter(|word| {
                let word = word.trim_end_matches(['.', ',', '?', '!']);
                word.len() > 1 && word.chars().all(char::is_alphabetic)
            });
            assert!(words.count() < 2 || literal == "use strict", "{name}: \"{literal}\"");
        }
    }
}
