use super::*;

fn rule(name: &str, per: Per, count: u32) -> LimitRule {
    let period = Duration::from_secs(60);
    LimitRule { name: name.into(), per, paths: None, methods: Vec::new(), count, period }
}

fn only(paths: &[&str]) -> Option<PathSet> {
    let mut set = PathSet::default();
    paths.iter().for_each(|path| set.add(path).unwrap());
    Some(set)
}

const AT: Duration = Duration::from_secs(5);
const HOME: (&str, &str) = ("GET", "/portal/home");
const API: (&str, &str) = ("POST", "/ns-api/");

#[test]
fn without_a_rule_there_are_no_limits() {
    assert!(RequestLimits::new(Vec::new()).is_none());
}

/// R-G4: the fields of draft-ietf-httpapi-ratelimit-headers.
#[test]
fn the_fields_say_what_is_left_and_what_holds() {
    let limits = RequestLimits::new(vec![rule("address", Per::Address, 1)]).unwrap();
    let quota = limits.take(Per::Address, 1, HOME, AT).unwrap().unwrap();
    assert_eq!(quota.field().1, "\"address\";r=1;t=60");
    limits.take(Per::Address, 1, HOME, AT).unwrap();
    let later = AT + Duration::from_millis(29_100);
    let (quota, policy) = limits.take(Per::Address, 1, HOME, later).unwrap_err();
    assert_eq!(quota.field().1, "\"address\";r=0;t=31");
    assert_eq!(policy, "\"address\";q=1;w=60");
    let half = LimitRule { period: Duration::from_millis(500), ..rule("path-1", Per::Token, 3) };
    assert_eq!(Limit::new(half).policy, "\"path-1\";q=3");
}

/// R-G4: of several, the tightest is told; each counts its own kind and its own requests.
#[test]
fn limits_are_counted_apart() {
    let chosen = LimitRule {
        paths: only(&["/ns-api/*"]),
        methods: vec!["POST"],
        ..rule("path-1", Per::Address, 2)
    };
    let all = vec![rule("address", Per::Address, 4), rule("session", Per::Session, 1), chosen];
    let limits = RequestLimits::new(all).unwrap();
    let name = |head| limits.take(Per::Address, 1, head, AT).unwrap().unwrap().name;
    assert_eq!(&*name(HOME), "address");
    assert_eq!(&*name(API), "path-1");
    assert_eq!(&*name(("GET", "/ns-api/")), "address", "another method");
    assert_eq!(&*name(("POST", "/NS-API/x")), "path-1", "a limit is not evaded by case");
    assert_eq!(limits.take(Per::Token, 1, API, AT).unwrap(), None);
    assert_eq!(limits.take(Per::Session, 1, API, AT).unwrap().unwrap().left, 1);
    name(API);
    name(API);
    let (quota, _) = limits.take(Per::Address, 1, API, AT).unwrap_err();
    assert_eq!(&*quota.name, "path-1");
}

#[test]
fn clients_of_token_endpoints_get_their_own_words() {
    let response = to_token_client(Duration::from_millis(1_200));
    assert_eq!(response.headers()[RETRY_AFTER], "2");
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["error"], "temporarily_unavailable");
}

#[test]
fn addresses_and_hashes_become_keys() {
    let bits = |text: &str| address_bits(text.parse().unwrap());
    assert_eq!(bits("203.0.113.7"), bits("::ffff:203.0.113.7"));
    assert_ne!(bits("203.0.113.7"), bits("203.0.113.8"));
    assert_eq!(first_bits(&[0, 1, 2]), 0x0102);
    let (one, other) = (Sha256::digest("one"), Sha256::digest("other"));
    assert_ne!(first_bits(&one), first_bits(&other));
}
