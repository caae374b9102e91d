use std::io::Write;

use serde_json::Value;

use super::*;
use crate::gateway::replay::{self, Draw};
use crate::profile::Profile;

const PIN: &str = "48151";

fn rule(section: &str) -> Arc<Redaction> {
    let text = Profile::builtin("generic").unwrap();
    let text = format!("{text}\n[[redact]]\npaths = [\"/r\"]\n{section}");
    let profile = Profile::parse(&text, "x.toml").unwrap();
    Arc::clone(profile.redaction("/r").unwrap())
}

fn members() -> Arc<Redaction> {
    rule("members = [\"pin\", \"Voicemail-PIN\"]\nelements = [\"pin\"]\nwith = \"*\"")
}

fn pushed(mut redactor: Redactor, pieces: &[&[u8]]) -> Result<String, Unreadable> {
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&redactor.push(Bytes::copy_from_slice(piece))?);
    }
    out.extend_from_slice(&redactor.finish()?);
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn unknown(rule: &Arc<Redaction>) -> Redactor {
    Redactor::new(Arc::clone(rule), ContentCoding::Identity, false)
}

/// As a whole, and a byte at a time: the same.
fn redacted(rule: &Arc<Redaction>, answer: &str) -> Result<String, &'static str> {
    let whole = pushed(unknown(rule), &[answer.as_bytes()]);
    let bytes: Vec<&[u8]> = answer.as_bytes().chunks(1).collect();
    let in_bytes = pushed(unknown(rule), &bytes);
    assert_eq!(whole.is_err(), in_bytes.is_err(), "{answer}");
    let whole = whole.map_err(|Unreadable(why)| why);
    if let (Ok(whole), Ok(in_bytes)) = (&whole, &in_bytes) {
        assert_eq!(whole, in_bytes, "{answer}");
    }
    whole
}

#[test]
fn members_are_hidden_at_any_depth() {
    for (answer, expected) in [
        (r#"{"pin":"1234"}"#, r#"{"pin":"*"}"#),
        (r#"{"PIN" : 1234 , "a":1}"#, r#"{"PIN" : "*" , "a":1}"#),
        (r#"[{"a":{"voicemail-pin":"1\"2"}}]"#, r#"[{"a":{"voicemail-pin":"*"}}]"#),
        (r#"{"pin":{"pin":[1,{"x":"}"}]},"b":2}"#, r#"{"pin":"*","b":2}"#),
        (r#"{"pin":[],"b":[]}"#, r#"{"pin":"*","b":[]}"#),
        (
            r#"{"p\u0069n":"1","\u0070\u0049\u004E":"2"}"#,
            r#"{"p\u0069n":"*","\u0070\u0049\u004E":"*"}"#,
        ),
        (r#"{"pin":"1","pin":"2"}"#, r#"{"pin":"*","pin":"*"}"#),
        (r#"{"pin":null,"a":{"pin":true}}"#, r#"{"pin":null,"a":{"pin":true}}"#),
        (r#"{"pins":"1","a":"pin","b":["pin","1"]}"#, r#"{"pins":"1","a":"pin","b":["pin","1"]}"#),
        ("{\"pin\":1}\n{\"pin\":-2e5}\n", "{\"pin\":\"*\"}\n{\"pin\":\"*\"}\n"),
        ("\u{feff} [{\"pin\":\"1\"}]", "\u{feff} [{\"pin\":\"*\"}]"),
        (
            "\u{1e}{\"pin\":1}\n\u{1e}{\"pin\":2}\n",
            "\u{1e}{\"pin\":\"*\"}\n\u{1e}{\"pin\":\"*\"}\n",
        ),
        // Cut off by the PBX: what came is told, and nothing hidden.
        (r#"{"a":1,"pin":"12"#, r#"{"a":1,"pin":"*""#),
        ("", ""),
        ("  ", "  "),
    ] {
        assert_eq!(redacted(&members(), answer).as_deref(), Ok(expected), "{answer}");
    }
}

#[test]
fn pointers_hide_one_place() {
    let rule = rule("pointers = [\"/data/*/code\", \"/0\"]");
    for (answer, expected) in [
        (
            r#"{"code":1,"data":[{"code":2,"x":{"code":3}},{"code":[4]}]}"#,
            r#"{"code":1,"data":[{"code":"","x":{"code":3}},{"code":""}]}"#,
        ),
        (r#"{"data":{"a":{"code":1}},"0":1}"#, r#"{"data":{"a":{"code":""}},"0":""}"#),
        (r#"[{"a":1},{"a":2}]"#, r#"["",{"a":2}]"#),
    ] {
        assert_eq!(redacted(&rule, answer).as_deref(), Ok(expected), "{answer}");
    }
}

/// What no parser would read, or what is nested without end, is not let through.
#[test]
fn what_is_no_json_ends() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(redacted(&members(), &deep(MAX_DEPTH)), Ok(deep(MAX_DEPTH)));
    assert!(redacted(&members(), &deep(MAX_DEPTH + 1)).is_err());
    let objects = "{\"a\":".repeat(MAX_DEPTH + 1);
    assert!(redacted(&members(), &objects).is_err());
    for answer in [
        "{'pin':1}",
        "{pin:1}",
        "{\"a\":1,}",
        "[1,]",
        "[1}",
        "{\"a\":[1}",
        "{\"a\" \"b\"}",
        "{\"a\"}",
        "{\"p\\x69n\":1}",
        "{\"p\\u00g9n\":1}",
        "{/**/\"pin\":1}",
        "[nil]",
        "[tru e]",
        "[]]",
        "[1] x",
        "{\"a\":\"\u{0}\"}",
    ] {
        assert!(redacted(&members(), answer).is_err(), "{answer}");
    }
    // What says that it is JSON must be.
    let json = || Redactor::new(members(), ContentCoding::Identity, true);
    for answer in ["<xml/>", "PIN 1234", "\u{fffd}"] {
        assert!(pushed(json(), &[answer.as_bytes()]).is_err(), "{answer}");
    }
    assert!(pushed(json(), &[b"\xff\xfe{\0"]).is_err(), "UTF-16");
    assert_eq!(pushed(json(), &[b" ", b"12", b"3"]).as_deref(), Ok(" 123"));
}

/// Nothing grows with what a name or a value has.
#[test]
fn long_names_and_values_take_no_memory() {
    let mut redactor = unknown(&members());
    let piece = Bytes::from("x".repeat(64 * 1024));
    assert_eq!(redactor.push(Bytes::from_static(b"{\"")).unwrap(), "{\"");
    for _ in 0..16 {
        assert_eq!(redactor.push(piece.clone()).unwrap(), piece);
    }
    assert_eq!(redactor.push(Bytes::from_static(b"pin\":\"1\",\"pin\":\"")).unwrap().len(), 18);
    for _ in 0..16 {
        assert_eq!(redactor.push(piece.clone()).unwrap(), "");
    }
    let Form::Json(json) = &redactor.form else { panic!("it is JSON") };
    assert!(json.name_capacity() < 1024);
    assert_eq!(redactor.push(Bytes::from_static(b"\"}")).unwrap(), "}");
}

#[test]
fn xml_elements_and_attributes_are_hidden() {
    let rule = rule("elements = [\"pin\"]\nwith = \"<*>\"");
    for (answer, expected) in [
        ("<a><pin>1234</pin><b>2</b></a>", "<a><pin>&lt;*&gt;</pin><b>2</b></a>"),
        ("<PIN x='>'>1</PIN >", "<PIN x='>'>&lt;*&gt;</PIN >"),
        ("<n:pin><pin>1</pin><c/>2</n:pin>3", "<n:pin>&lt;*&gt;</n:pin>3"),
        ("<pin/><pin />4<pins>5</pins>", "<pin/><pin />4<pins>5</pins>"),
        ("<pin><![CDATA[</pin>1]]]>2</pin>3", "<pin>&lt;*&gt;</pin>3"),
        ("<pin>1<!-- </pin> --->2</pin>3", "<pin>&lt;*&gt;</pin>3"),
        ("<!-- <pin>1</pin> --><pin>2</pin>", "<!-- <pin>1</pin> --><pin>&lt;*&gt;</pin>"),
        (
            "<?xml version='1.0'?><!DOCTYPE a><pin>2</pin>",
            "<?xml version='1.0'?><!DOCTYPE a><pin>&lt;*&gt;</pin>",
        ),
        (
            "<u pin=\"12>3\" a='pin' n:PIN = '4'/>",
            "<u pin=\"&lt;*&gt;\" a='pin' n:PIN = '&lt;*&gt;'/>",
        ),
        ("<u pin=123 b>pin=1</u>", "<u pin=&lt;*&gt; b>pin=1</u>"),
        ("<br>1 < 2 <<pin>3</pin>", "<br>1 < 2 <<pin>&lt;*&gt;</pin>"),
        ("<pin>1", "<pin>&lt;*&gt;"),
    ] {
        assert_eq!(redacted(&rule, answer).as_deref(), Ok(expected), "{answer}");
    }
    for answer in ["<!DOCTYPE a [<!ENTITY x '1'>]><pin>1</pin>", "<a>\0</a>"] {
        assert!(redacted(&rule, answer).is_err(), "{answer}");
    }
}

/// PBXs lie about what they send: JSON behind something else is found, and ends the answer.
#[test]
fn hidden_members_elsewhere_end_the_answer() {
    for answer in [
        "<br />\n<b>Notice</b>: x in <b>/a.php</b>\n[{\"pin\":\"48151\"}]",
        "callback({\"pin\" : \"48151\"})",
        "/**/cb([{\"a\":1,\"p\\u0069n\":\"48151\"}]);",
        "data: {\"PIN\":\"48151\"}\n\n",
        ")]}',\n{\"voicemail-pin\":48151}",
        "it said \"{\\\"pin\\\":\\\"48151\\\"}\"",
    ] {
        assert!(redacted(&members(), answer).is_err(), "{answer}");
    }
    for answer in [
        "ok",
        "say \"pin\" and go: there",
        "<a title=\"pin\">: 1</a>",
        "data: {\"pins\":\"1\"}\n\n",
        "a,b,pin\n1,2,3\n",
    ] {
        assert_eq!(redacted(&members(), answer).as_deref(), Ok(answer));
    }
}

/// A PBX that packs its answer all the same.
#[test]
fn packed_answers_are_unpacked() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(b"[{\"pin\":\"48151\"}]").unwrap();
    let packed = packed.finish().unwrap();
    let gzip = || Redactor::new(members(), ContentCoding::Gzip, true);
    let (one, other) = packed.split_at(15);
    assert_eq!(pushed(gzip(), &[one, other]).as_deref(), Ok("[{\"pin\":\"*\"}]"));
    assert!(pushed(gzip(), &[b"[{\"pin\":\"48151\"}]"]).is_err());
}

/// A JSON text at random, as it comes and as it must go out. Every hidden value holds the PIN.
struct Drawn {
    text: String,
    expected: String,
}

impl Drawn {
    fn both(&mut self, text: &str, hidden: bool) {
        self.text.push_str(text);
        if !hidden {
            self.expected.push_str(text);
        }
    }

    fn value(&mut self, draw: &mut Draw, depth: usize, hidden: bool) {
        let blank = ["", "", " ", "\n\t"][draw.below(4)];
        self.both(blank, hidden);
        match draw.below(if depth > 4 { 5 } else { 8 }) {
            0 => self.both(["null", "true", "false"][draw.below(3)], hidden),
            1 => self.both(["0", "-1.5e+3", "48151", "1E2"][draw.below(4)], hidden),
            2..5 => {
                self.both("\"", hidden);
                for _ in 0..draw.below(5) {
                    const PARTS: &[&str] = &[
                        "a",
                        "\\\"",
                        "\\\\",
                        "}",
                        "{\\\"pin\\\":1",
                        "\\ud83d\\ude00",
                        "é",
                        ":",
                        "48151",
                    ];
                    self.both(PARTS[draw.below(PARTS.len())], hidden);
                }
                self.both("\"", hidden);
            }
            5 => {
                self.both("[", hidden);
                for number in 0..draw.below(4) {
                    self.both(if number > 0 { "," } else { "" }, hidden);
                    self.value(draw, depth + 1, hidden);
                }
                self.both("]", hidden);
            }
            _ => self.object(draw, depth, hidden),
        }
        self.both(blank, hidden);
    }

    fn object(&mut self, draw: &mut Draw, depth: usize, hidden: bool) {
        self.both("{", hidden);
        for number in 0..draw.below(5) {
            self.both(if number > 0 { " ," } else { "" }, hidden);
            let names = [
                ("\"pin\"", true),
                ("\"\\u0070I\\u006e\"", true),
                ("\"voicemail-PIN\"", true),
                ("\"pi\"", false),
                ("\"pin \"", false),
                ("\"\\\"pin\"", false),
                ("\"p\\ud83d\\ude00in\"", false),
                ("\"\"", false),
            ];
            let (name, names_pin) = names[draw.below(names.len())];
            self.both(name, hidden);
            self.both([":", " : "][draw.below(2)], hidden);
            if names_pin && !hidden {
                let length = self.text.len();
                self.text.push_str(match draw.below(4) {
                    0 => "\"48151\"",
                    1 => "48151",
                    2 => "[\"48\\\"151\"]",
                    _ => "",
                });
                if self.text.len() == length {
                    self.text.push_str("{\"x\":");
                    self.value(draw, depth + 1, true);
                    self.text.push('}');
                }
                self.expected.push_str("\"*\"");
            } else {
                self.value(draw, depth + 1, hidden);
            }
        }
        self.both("}", hidden);
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| {
            if name.eq_ignore_ascii_case("pin") || name.eq_ignore_ascii_case("voicemail-pin") {
                if !value.is_null() && !value.is_boolean() {
                    *value = Value::from("*");
                }
            } else {
                hide(value);
            }
        }),
        Value::Array(elements) => elements.iter_mut().for_each(hide),
        _ => {}
    }
}

/// Random JSON in random pieces: byte for byte what the generator says, and what `serde_json` makes
/// of it when the values are replaced in its tree.
#[test]
fn random_json_is_read_as_serde_json_reads_it() {
    let (mut draw, rule) = (Draw::seeded(33), members());
    let mut hidden = 0;
    for _ in 0..4_000 {
        let mut drawn = Drawn { text: String::new(), expected: String::new() };
        drawn.object(&mut draw, 0, false);
        let mut pieces = Vec::new();
        let mut rest = drawn.text.as_bytes();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + draw.below(rest.len().min(12)));
            pieces.push(piece);
            rest = after;
        }
        let out = pushed(unknown(&rule), &pieces);
        assert_eq!(out.as_deref(), Ok(drawn.expected.as_str()), "{}", drawn.text);
        let mut tree: Value = serde_json::from_str(&drawn.text).unwrap();
        hide(&mut tree);
        assert_eq!(serde_json::from_str::<Value>(&drawn.expected).unwrap(), tree);
        hidden += usize::from(drawn.expected != drawn.text);
    }
    assert!(hidden > 1_000, "{hidden}");
}

/// Real answers: as the example portal writes them, by the built-in profile.
#[test]
fn the_netsapiens_profile_hides_pins() {
    let text = Profile::builtin("netsapiens").unwrap();
    let profile = Profile::parse(text, "netsapiens.toml").unwrap();
    for path in ["/ns-api", "/ns-api/", "/ns-api/v2/domains/x/users/1"] {
        let rule = profile.redaction(path).expect("it is covered");
        for answer in [
            format!("[{{\"subscriber_pin\":\"{PIN}\",\"user\":\"1001\"}}]"),
            format!("{{\"voicemail-login-pin\":{PIN},\"user\":\"1001\"}}"),
            format!(
                "<xml><subscriber><subscriber_pin>{PIN}</subscriber_pin><user>1001</user></subscriber></xml>"
            ),
        ] {
            let out = redacted(rule, &answer).unwrap();
            assert!(!out.contains(PIN) && out.contains("1001"), "{out}");
        }
    }
    assert!(profile.redaction("/portal/home").is_none());
}

#[test]
fn replay_answers_are_read_alike_however_they_are_cut() {
    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "pin",
        "\"pin\":",
        "\"PIN\" :",
        "\\u0069",
        "\\",
        "\\\"",
        "1",
        "-1.5",
        "null",
        "true",
        "\"48151\"",
        "<",
        ">",
        "/",
        "<pin",
        "<pin>",
        "</pin>",
        "</",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?",
        "?>",
        "<!DOCTYPE",
        "=",
        "'",
        "a",
        " ",
        "\n",
        "é",
        "\u{feff}",
        "\u{1e}",
        "\0",
    ];
    let (mut draw, rule) = (Draw::seeded(5), members());
    replay::pieces(PIECES, 20_000, |answer| {
        check_properties(&rule, answer.as_bytes(), draw.below(answer.len() + 1));
    });
}
