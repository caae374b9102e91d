use super::*;

fn netsapiens() -> CredentialScan {
    CredentialScan::new([("data[Login][username]", false), ("data[Login][password]", false)])
}

fn fusion() -> CredentialScan {
    CredentialScan::new([("user_name", false), ("password", false), ("key", true)])
}

fn headers(content_type: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, content_type.parse().expect("header value"));
    headers
}

/// The verdict over a body in every cut into two chunks; all must agree.
fn verdict(scan: &CredentialScan, content_type: &str, body: &str) -> Option<ScanVerdict> {
    let verdicts: Vec<_> = (0..=body.len())
        .map(|cut| {
            let mut scan = scan.body(&headers(content_type))?;
            scan.push(&body.as_bytes()[..cut]);
            scan.push(&body.as_bytes()[cut..]);
            Some(scan.finish())
        })
        .collect();
    assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]), "a cut shows in {body:?}");
    verdicts[0]
}

const FORM: &str = "application/x-www-form-urlencoded";
const PARTS: &str = "multipart/form-data; boundary=b";

/// Security, "Bypass", body: `user[]`, `p%61ssword`, leading space, NUL in names, `;` separators.
const SPELLINGS: &[&str] = &[
    "password",
    "PassWord",
    "p%61ssword",
    "%70%61%73%73%77%6f%72%64",
    "%20password",
    "+password",
    "++%09%0a+password",
    "password%00",
    "password%00x",
    "password[]",
    "password%5B%5D",
    "password[x][y]",
    "password[",
    "password+",
    "user.name",
    "user+name",
    "user%20name",
    "user[name",
    "user_name[]",
    "User%2EName",
];

#[test]
fn spellings_of_a_name_are_recognised_everywhere() {
    // `password[` is `password_` to PHP, another name.
    for spelling in SPELLINGS.iter().filter(|spelling| **spelling != "password[") {
        for around in ["", "=1234", "=1234&a=b"] {
            for before in ["", "a=b&", "a=b;", "a&", "a=%26password&b=2&&"] {
                let text = format!("{before}{spelling}{around}");
                assert!(fusion().query(&text), "query {text}");
                assert_eq!(verdict(&fusion(), FORM, &text), Some(ScanVerdict::Hit), "form {text}");
            }
        }
    }
    for spelling in [
        "data[Login][password]",
        "data%5BLogin%5D%5Bpassword%5D",
        "DATA[login][Password]",
        "+data[+Login+][password]",
        "data[Login][password][]",
        "data[\"Login\"]['password']",
        "data[Login]x[password]",
        "data[Login][password]%00x",
        "data[Login][username",
    ] {
        let text = format!("_method=POST&{spelling}=1234");
        let expected = spelling != "data[Login][username" || netsapiens().query(&text);
        assert_eq!(netsapiens().query(&text), expected, "{text}");
        if expected {
            assert_eq!(verdict(&netsapiens(), FORM, &text), Some(ScanVerdict::Hit), "{text}");
        }
    }
}

#[test]
fn other_names_and_all_values_pass() {
    for text in [
        "",
        "a",
        "=",
        "&&;",
        "a=password",
        "a=password%3D1",
        "passwords=1",
        "xpassword=1",
        "old_password=1",
        "password_=1",
        "data[password]=1",
        "user=1",
        "username=1",
        "%=1",
        "%7=1",
        "next=/portal?password",
        "password.x=1",
        "user-name=1",
    ] {
        assert!(!fusion().query(text), "{text}");
        assert_eq!(verdict(&fusion(), FORM, text), Some(ScanVerdict::Clean), "{text}");
    }
    for text in ["data[Profile][password]=1", "password=1", "data[Login]=1", "Login[password]=1"] {
        assert!(!netsapiens().query(text), "{text}");
    }
}

#[test]
fn fields_of_the_query_only_are_free_in_bodies() {
    assert!(fusion().query("key=1"));
    assert_eq!(verdict(&fusion(), FORM, "key=1"), Some(ScanVerdict::Clean));
    assert!(CredentialScan::new([("key", true)]).body(&headers(FORM)).is_none());
}

/// Padding that is longer than every buffer hides nothing.
#[test]
fn long_names_hide_nothing() {
    let blanks = "%20".repeat(5_000);
    let long = "x".repeat(5_000);
    for text in [
        format!("{blanks}password=1"),
        format!("password[{long}]=1"),
        format!("password[{long}=1"),
        format!("data[{blanks}Login][{blanks}password]=1"),
    ] {
        let mut scan = CredentialScan::new([("password", false), ("data[Login][password]", false)])
            .body(&headers(FORM))
            .expect("a form");
        assert_eq!(scan.push(text.as_bytes()), ScanVerdict::Hit, "{}", &text[..40]);
    }
    assert!(fusion().query(&format!("{blanks}password=1")));
}

#[test]
fn parts_of_multipart_bodies_are_named() {
    for disposition in [
        "Content-Disposition: form-data; name=\"password\"",
        "content-disposition:form-data;name=password",
        "CONTENT-DISPOSITION : form-data; NAME = 'password'",
        "Content-Disposition: form-data;\r\n name=\"password\"",
        "Content-Disposition: form-data; filename=\"a.txt\"; name=\"password\"",
        "Content-Disposition: form-data; name=\"a\"; name=\"password\"",
        "Content-Disposition: form-data; name=\"p%61ssword\"",
        "Content-Disposition: form-data; name=\"pass\\word\"",
        "Content-Disposition: form-data; name=\" password[]\"",
        "Content-Disposition: form-data; name=\"password",
        "Content-Disposition: form-data; name*=utf-8''p%61ssword",
        "Content-Disposition: form-data; name*0=pass; name*1=word",
        "Content-Disposition: form-data; name=\"=?utf-8?B?cGFzc3dvcmQ=?=\"",
    ] {
        for line_end in ["\r\n", "\n"] {
            let body = format!(
                "--b{line_end}Content-Disposition: form-data; name=\"a\"{line_end}{line_end}1\
                 {line_end}--b{line_end}X: y{line_end}{disposition}{line_end}{line_end}1234"
            );
            assert_eq!(verdict(&fusion(), PARTS, &body), Some(ScanVerdict::Hit), "{body:?}");
        }
    }
    let clean = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"password\"\r\n\
                 Content-Type: text/plain\r\n\r\npassword=1\r\nname=\"password\"\r\n--b--\r\n";
    assert_eq!(verdict(&fusion(), PARTS, clean), Some(ScanVerdict::Clean));
    assert_eq!(verdict(&fusion(), "multipart/mixed", clean), Some(ScanVerdict::Clean));
}

/// Uploads stream: they have no limit, and the scanner does not grow with them.
#[test]
fn uploads_are_not_limited() {
    let mut scan = fusion().body(&headers(PARTS)).expect("multipart");
    assert!(!scan.wants_whole_body());
    scan.push(b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n");
    let chunk = vec![b'x'; 64 * 1024];
    for _ in 0..64 {
        assert_eq!(scan.push(&chunk), ScanVerdict::Clean);
    }
    let end = b"\r\n--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n1";
    assert_eq!(scan.push(end), ScanVerdict::Hit);
    assert_eq!(scan.push(b"x"), ScanVerdict::Hit);
}

#[test]
fn members_of_json_bodies_are_named() {
    for body in [
        r#"{"password":"1"}"#,
        r#" [ {"a":1}, {"b":{"password" : 1}} ]"#,
        r#"{"p\u0061ssword":1}"#,
        r#"{"PASSWORD":1,"PASSWORD":2}"#,
        r"{'password':1}",
        r"{password:1}",
        "\u{feff}{\"password\":1}",
        r#"{"user_name":1"#,
        r#"{"a":"}","password":1}"#,
        r#"{"a":"\"","password":1}"#,
        r#"{"password[]":1}"#,
        r#"{"a":[1,2,{"x":[]}],"password":1}"#,
    ] {
        assert_eq!(verdict(&fusion(), "application/json", body), Some(ScanVerdict::Hit), "{body}");
        // Script libraries send JSON under the wrong name, and PHP reads it all the same.
        assert_eq!(verdict(&fusion(), FORM, body), Some(ScanVerdict::Hit), "{body}");
    }
    for body in [
        r#"{"a":"password"}"#,
        r#"{"a":["password","user_name"]}"#,
        r#"{"passwords":1,"x":"password:1"}"#,
        r#"["password"]"#,
        r"{}",
        "",
        "}}}]]",
    ] {
        let expected = Some(ScanVerdict::Clean);
        assert_eq!(verdict(&fusion(), "application/problem+json", body), expected, "{body}");
    }
    let nested = r#"{"data":{"Other":1,"Login":[{"x":{},"password":1}]}}"#;
    assert_eq!(verdict(&netsapiens(), "application/json", nested), Some(ScanVerdict::Hit));
    let apart = r#"{"data":{"Login":{}},"Login":{"password":1}}"#;
    assert_eq!(verdict(&netsapiens(), "application/json", apart), Some(ScanVerdict::Clean));
    let utf16: Vec<u8> = r#"{"password":1}"#.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let mut scan = fusion().body(&headers("application/json")).expect("json");
    assert_eq!(scan.push(&utf16), ScanVerdict::Hit);
}

/// Security, "Bypass", body: no Content-Type, charset UTF-16/UTF-7, gzip.
#[test]
fn bodies_that_hide_their_names_are_refused() {
    for charset in ["utf-16", "UTF-7", "\"utf-16le\"", "ISO-2022-JP"] {
        let content_type = format!("{FORM}; charset={charset}");
        let mut scan = fusion().body(&headers(&content_type)).expect("a form");
        assert_eq!(scan.push(b"a=b"), ScanVerdict::Hit, "{charset}");
    }
    let mut coded = headers(FORM);
    coded.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    assert_eq!(fusion().body(&coded).expect("a form").push(b"x"), ScanVerdict::Hit);
    coded.insert(header::CONTENT_ENCODING, HeaderValue::from_static("identity"));
    assert_eq!(fusion().body(&coded).expect("a form").push(b"x"), ScanVerdict::Clean);
    let mut untyped = fusion().body(&HeaderMap::new()).expect("maybe a form");
    assert_eq!(untyped.push(b"password=1"), ScanVerdict::Hit);
}

/// Bypass: an application that parses what it gets does not ask what it is called.
#[test]
fn bodies_of_other_kinds_are_read_as_they_stream() {
    for content_type in ["application/octet-stream", "audio/wav", "image/png", "text/xml", "x"] {
        for body in [&b"a=1&password=2"[..], br#" {"password":"2"}"#] {
            let mut scan = fusion().body(&headers(content_type)).expect("a body");
            assert_eq!(scan.push(body), ScanVerdict::Hit, "{content_type}");
        }
        let mut scan = fusion().body(&headers(content_type)).expect("a body");
        assert!(!scan.wants_whole_body(), "{content_type}: files are not held back");
        let piece = vec![b'x'; MAX_FORM];
        for _ in 0..3 {
            assert_eq!(scan.push(&piece), ScanVerdict::Clean, "{content_type}");
        }
    }
    // Two types: whatever one of them allows is read.
    let mut two = headers("audio/wav");
    two.append(header::CONTENT_TYPE, HeaderValue::from_static(FORM));
    assert!(fusion().body(&two).expect("a form").wants_whole_body());
}

#[test]
fn forms_are_bounded() {
    let mut scan = fusion().body(&headers(FORM)).expect("a form");
    assert!(scan.wants_whole_body());
    let chunk = vec![b'x'; MAX_FORM];
    assert_eq!(scan.push(&chunk), ScanVerdict::Clean);
    assert_eq!(scan.push(b"x"), ScanVerdict::TooLarge);
    assert_eq!(scan.push(b"&password=1"), ScanVerdict::TooLarge);
    let mut deep = fusion().body(&headers("application/json")).expect("json");
    assert_eq!(deep.push("[".repeat(100).as_bytes()), ScanVerdict::Clean);
    assert_eq!(deep.push("[".repeat(100).as_bytes()), ScanVerdict::TooLarge);
}

#[test]
fn replay_bodies_are_read_alike_however_they_are_cut() {
    use crate::gateway::replay;
    const PIECES: &[&str] = &[
        "password",
        "user",
        "name",
        "data",
        "Login",
        "[",
        "]",
        "%5B",
        "%5d",
        "=",
        "&",
        ";",
        ".",
        " ",
        "+",
        "%20",
        "%00",
        "%",
        "%4",
        "{",
        "}",
        "\"",
        "'",
        ":",
        ",",
        "\\",
        "\\u0061",
        "\r\n",
        "\n",
        "Content-Disposition: form-data; name=",
        "\"user_name\"",
        "--b",
        "_",
        "é",
        "\0",
        "\t",
    ];
    let mut draw = replay::Draw::seeded(3);
    replay::pieces(PIECES, 20_000, |body| {
        check_properties(body.as_bytes(), draw.below(body.len() + 1));
    });
}
