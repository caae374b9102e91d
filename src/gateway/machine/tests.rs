use super::*;

const KEY: &str = "0123456789abcdef0123";

fn rule() -> MachineRule {
    let mut paths = PathSet::default();
    paths.add("/cfg/*").unwrap();
    let methods = vec!["GET", "HEAD"];
    let name = "phones".into();
    MachineRule { name, paths, methods, addresses: Vec::new(), key: None, plain_http: false }
}

fn with_key(at: KeyAt) -> MachineRule {
    let key = OfferedKey { secret: Secret::new(KEY), at, forwarded: false };
    MachineRule { key: Some(key), ..rule() }
}

fn head(method: &str, target: &str, fields: &[(&'static str, &str)]) -> http::request::Parts {
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn is(rule: MachineRule, head: &http::request::Parts) -> bool {
    MachineClient(rule).is(head, "portal.example.com", "10.20.0.7".parse().unwrap(), false)
}

/// R-F4: path and method.
#[test]
fn path_and_method_are_exact() {
    assert!(is(rule(), &head("GET", "/cfg/0004f2.xml?x", &[])));
    for (method, target) in
        [("POST", "/cfg/a"), ("get", "/cfg/a"), ("GET", "/cfg"), ("GET", "/CFG/a"), ("GET", "/x")]
    {
        assert!(!is(rule(), &head(method, target, &[])), "{method} {target}");
    }
}

/// R-F4: address; the mapped form of IPv4 is IPv4.
#[test]
fn the_address_is_one_of_its_networks() {
    let office = MachineRule { addresses: vec!["10.20.0.0/16".parse().unwrap()], ..rule() };
    let (client, head) = (MachineClient(office), head("GET", "/cfg/a", &[]));
    for (address, expected) in
        [("10.20.0.7", true), ("::ffff:10.20.0.7", true), ("10.21.0.7", false), ("::1", false)]
    {
        let address = address.parse().unwrap();
        assert_eq!(client.is(&head, "h", address, false), expected, "{address}");
    }
    assert!(!client.is(&head, "h", "10.20.0.7".parse().unwrap(), true), "not without TLS");
}

/// R-F4: the key, in a field or in the query, once.
#[test]
fn the_key_is_offered_once() {
    let in_field = || with_key(KeyAt::Header(HeaderName::from_static("x-api-key")));
    assert!(is(in_field(), &head("GET", "/cfg/a", &[("x-api-key", KEY)])));
    for fields in [
        &[][..],
        &[("x-api-key", "")],
        &[("x-api-key", "0123456789abcdef012")],
        &[("x-api-key", KEY), ("x-api-key", KEY)],
        &[("x-api-key", KEY), ("x-api-key", "other")],
        &[("x-api-keys", KEY)],
    ] {
        assert!(!is(in_field(), &head("GET", "/cfg/a", fields)), "{fields:?}");
    }
    let in_query = || with_key(KeyAt::Query("k".into()));
    for (query, expected) in [
        ("k=0123456789abcdef0123", true),
        ("a=b&%6B=%30123456789abcdef0123", true),
        ("k=0123456789abcdef0123&k=0123456789abcdef0123", false),
        ("k=0123456789abcdef0123&%6b=", false),
        ("K=0123456789abcdef0123", false),
        ("k", false),
        ("", false),
    ] {
        assert_eq!(
            is(in_query(), &head("GET", &format!("/cfg/a?{query}"), &[])),
            expected,
            "{query}"
        );
    }
}

/// R-F4, R-F3: who says who he is goes the way of logins; a field that is the key is none.
#[test]
fn credentials_of_people_do_not_pass_here() {
    for value in ["Basic MTAwMToxMjM0", "Bearer x", "Digest username=\"1001\""] {
        assert!(!is(rule(), &head("GET", "/cfg/a", &[("authorization", value)])), "{value}");
    }
    let key = with_key(KeyAt::Header(header::AUTHORIZATION));
    assert!(is(key, &head("GET", "/cfg/a", &[("authorization", KEY)])));
}

/// Security: a page elsewhere does not act by a browser within the network.
#[test]
fn other_origins_do_not_act() {
    let hook = || MachineRule { methods: vec!["GET", "POST"], ..rule() };
    for (method, origin, expected) in [
        ("POST", "https://portal.example.com", true),
        ("POST", "https://evil.example", false),
        ("GET", "https://evil.example", true),
    ] {
        let head = head(method, "/cfg/a", &[("origin", origin)]);
        assert_eq!(is(hook(), &head), expected, "{method} {origin}");
    }
}

/// R-F4: neither cookies nor the key reach the PBX, unless the key is to.
#[test]
fn the_pbx_does_not_get_the_key() {
    let ready = |rule: MachineRule| {
        let mut upstream = RequestHeader::build("GET", b"/cfg/a?x=1&k=secret&y", None).unwrap();
        upstream.insert_header("cookie", "PHPSESSID=1").unwrap();
        upstream.insert_header("x-api-key", KEY).unwrap();
        MachineClient(rule).ready(&mut upstream).unwrap();
        assert!(!upstream.headers.contains_key("cookie"));
        (upstream.uri.to_string(), upstream.headers.contains_key("x-api-key"))
    };
    let field = KeyAt::Header(HeaderName::from_static("x-api-key"));
    assert_eq!(ready(with_key(field.clone())), ("/cfg/a?x=1&k=secret&y".into(), false));
    assert_eq!(ready(with_key(KeyAt::Query("k".into()))), ("/cfg/a?x=1&y".into(), true));
    let mut kept = with_key(field);
    kept.key.as_mut().unwrap().forwarded = true;
    assert_eq!(ready(kept), ("/cfg/a?x=1&k=secret&y".into(), true));
}

/// R-G1: who is sent to https is sent to us.
#[test]
fn https_is_ours() {
    let by_host = [("voice.acme.example".to_owned(), "https://voice.acme.example".to_owned())];
    let of_everybody = "https://portal.example.com".to_owned();
    let urls = PublicUrls { of_everybody, by_host: by_host.into() };
    let machines = MachineClients::new(vec![rule()], urls).unwrap();
    assert_eq!(machines.https("evil.example", "/a?b"), "https://portal.example.com/a?b");
    assert_eq!(machines.https("Voice.ACME.example:80", "//x"), "https://voice.acme.example//x");
}
