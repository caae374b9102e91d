//! What the signer promises, against everything that tokens were ever forged with.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::*;
use crate::adapters::clock::MovableClock;
use crate::adapters::random::OsRandom;

const URL: &str = "https://portal.example.com";

/// A gateway's signer and its clock.
struct World {
    place: tempfile::TempDir,
    clock: Arc<MovableClock>,
    ring: Arc<KeyRing>,
    signer: KeyRingSigner,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(MovableClock::standing_at("2018-11-05T12:00:00Z".parse().unwrap()));
        let place = tempfile::tempdir().unwrap();
        let ring = open(&place, &clock);
        let signer = KeyRingSigner::new(Arc::clone(&ring), "https://portal.example.com/");
        Self { place, clock, ring, signer }
    }

    /// Another node on the same ring.
    fn neighbour(&self) -> (Arc<KeyRing>, KeyRingSigner) {
        let ring = open(&self.place, &self.clock);
        (Arc::clone(&ring), KeyRingSigner::new(ring, URL))
    }

    fn now(&self) -> Timestamp {
        crate::ports::Clock::now(&*self.clock)
    }

    fn claims(&self) -> AccessClaims {
        AccessClaims {
            account: AccountId(Uuid::from_u128(0x1234)),
            family: SessionId([7; 32]),
            client_id: "softphone".into(),
            scope: "Office Manager".into(),
            issued_at: self.now(),
            expires_at: self.now() + Duration::from_secs(3600),
            id: [9; 16],
        }
    }

    fn verify(&self, token: &str) -> Result<AccessClaims, BadToken> {
        self.signer.verify(token, self.now())
    }

    /// A token of ours with another header and payload, signed by our newest key as it stands.
    fn signed(&self, header: &str, payload: &str) -> String {
        self.signer.keys().newest().sign_as(header, payload)
    }

    /// The claims of a good token as JSON, with changes.
    fn payload(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut payload = json!(Claims::of(&self.claims(), URL));
        change(&mut payload);
        payload.to_string()
    }

    fn kid(&self) -> String {
        self.signer.jwks(self.now())["keys"][0]["kid"].as_str().unwrap().to_owned()
    }
}

fn open(place: &tempfile::TempDir, clock: &Arc<MovableClock>) -> Arc<KeyRing> {
    let path = place.path().join("keyring.json");
    let clock = Arc::clone(clock) as Arc<dyn crate::ports::Clock>;
    Arc::new(KeyRing::open_or_create(&path, clock, Arc::new(OsRandom)).unwrap())
}

impl keys::SigningKey {
    fn sign_as(&self, header: &str, payload: &str) -> String {
        let signed =
            format!("{}.{}", jws::encode(header.as_bytes()), jws::encode(payload.as_bytes()));
        let signature = jws::encode(self.signature(&signed).as_ref());
        format!("{signed}.{signature}")
    }
}

fn good_header(kid: &str) -> String {
    format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#)
}

/// R-F3: a token says what it was made to say, in the words of RFC 9068, and comes back as it was.
#[test]
fn a_token_is_what_it_was_signed_as() {
    let world = World::new();
    let claims = world.claims();
    let token = world.signer.sign(&claims);
    assert_eq!(world.verify(&token), Ok(claims.clone()));
    assert!(world.signer.looks_own(&token));
    let parts: Vec<Vec<u8>> = token.split('.').map(|part| jws::decode(part).unwrap()).collect();
    assert_eq!(
        serde_json::from_slice::<Value>(&parts[0]).unwrap(),
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": world.kid() })
    );
    let at = world.now().as_second();
    assert_eq!(
        serde_json::from_slice::<Value>(&parts[1]).unwrap(),
        json!({
            "iss": URL, "aud": URL, "sub": "00000000-0000-0000-0000-000000001234",
            "client_id": "softphone", "sid": jws::encode(&[7; 32]), "scope": "Office Manager",
            "iat": at, "nbf": at, "exp": at + 3600, "jti": jws::encode(&[9; 16]),
        })
    );
    let silent = AccessClaims { scope: String::new(), ..claims };
    let token = world.signer.sign(&silent);
    let payload = jws::decode(token.split('.').nth(1).unwrap()).unwrap();
    assert!(!String::from_utf8(payload).unwrap().contains("scope"));
    assert_eq!(world.verify(&token), Ok(silent));
}

/// Security (RFC 8725): nothing in a token chooses how it is checked. Each of these is refused as a
/// forgery of ours, or as no token of ours at all.
#[test]
fn forged_headers_are_refused() {
    let world = World::new();
    let (kid, good) = (world.kid(), world.payload(|_| ()));
    let public = world.signer.keys().newest().public().to_vec();
    let unsigned = |header: &str| {
        format!("{}.{}.", jws::encode(header.as_bytes()), jws::encode(good.as_bytes()))
    };
    // The control: signed by hand like this, it is good.
    assert!(world.verify(&world.signed(&good_header(&kid), &good)).is_ok());

    for none in ["none", "None", "NONE", ""] {
        let header = good_header(&kid).replace("EdDSA", none);
        for token in [unsigned(&header), world.signed(&header, &good)] {
            assert_eq!(world.verify(&token), Err(BadToken::Forged), "{none}");
            assert!(world.signer.looks_own(&token), "{none}");
        }
    }
    // The public key as the secret of an HMAC, raw and as it stands in the JWKS.
    for secret in [public.clone(), jws::encode(&public).into_bytes()] {
        let header = good_header(&kid).replace("EdDSA", "HS256");
        let signed = unsigned(&header);
        let signed = signed.trim_end_matches('.');
        let mut mac = <Hmac<Sha256>>::new_from_slice(&secret).unwrap();
        mac.update(signed.as_bytes());
        let token = format!("{signed}.{}", jws::encode(&mac.finalize().into_bytes()));
        assert_eq!(world.verify(&token), Err(BadToken::Forged));
    }
    let add = |member: &str| good_header(&kid).replace('}', &format!(",{member}}}"));
    for header in [
        add(&format!(r#""jwk":{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, jws::encode(&public))),
        add(r#""jku":"https://evil.example/jwks.json""#),
        add(r#""x5u":"https://evil.example/x.pem""#),
        add(r#""x5c":[]"#),
        add(r#""crit":["exp"]"#),
        add(r#""b64":false"#),
        add(r#""zip":"DEF""#),
        add(r#""alg":"EdDSA""#),
        add(r#""alg":"none""#),
        add(&format!(r#""kid":"{kid}""#)),
        good_header(&kid).replace("EdDSA", "ES256"),
        good_header(&kid).replace("EdDSA", "eddsa"),
        good_header(&kid).replace("at+jwt", "JWT"),
        good_header(&kid).replace("at+jwt", "AT+JWT"),
        good_header(&kid).replace("at+jwt", "application/at+jwt"),
        good_header("../../etc/passwd"),
        good_header(""),
        format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":["{kid}"]}}"#),
        r#"{"alg":"EdDSA","typ":"at+jwt"}"#.to_owned(),
    ] {
        let token = world.signed(&header, &good);
        assert_eq!(world.verify(&token), Err(BadToken::Forged), "{header}");
        assert!(world.signer.looks_own(&token), "{header}");
    }
    // The PBX's own JWT, or anybody's: not ours to judge.
    for header in [r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"alg":"EdDSA","kid":"x"}"#, "[]", "x"] {
        let token = world.signed(header, &good);
        assert_eq!(world.verify(&token), Err(BadToken::Foreign), "{header}");
        assert!(!world.signer.looks_own(&token), "{header}");
    }
    for text in ["", ".", "..", "...", "a.b", "0123456789abcdef0123456789abcdef", "é.é.é"] {
        assert_eq!(world.verify(text), Err(BadToken::Foreign), "{text}");
        assert!(!world.signer.looks_own(text), "{text}");
    }
}

/// Security: a token of another gateway is none of ours, though it looks like one.
#[test]
fn strange_keys_are_refused() {
    let (world, other) = (World::new(), World::new());
    let token = other.signer.sign(&other.claims());
    assert!(other.verify(&token).is_ok());
    assert_eq!(world.verify(&token), Err(BadToken::Forged));
    assert!(world.signer.looks_own(&token));
    // Signed by a strange key under the name of ours.
    let posing = other.signed(&good_header(&world.kid()), &world.payload(|_| ()));
    assert_eq!(world.verify(&posing), Err(BadToken::Forged));
}

/// Security: each token has one spelling; one byte more, less or other is another token.
#[test]
fn every_byte_counts() {
    let world = World::new();
    let token = world.signer.sign(&world.claims());
    for index in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        // The neighbour in the alphabet: at the end of a part it may change unused bits only.
        bytes[index] = match bytes[index] {
            b'.' => b'_',
            b'A' => b'B',
            b'Z' | b'z' | b'9' => b'-',
            b'-' => b'_',
            b'_' => b'-',
            other => other + 1,
        };
        let other = String::from_utf8(bytes).unwrap();
        assert!(world.verify(&other).is_err(), "{index}");
        assert!(world.verify(&token[..index]).is_err(), "cut at {index}");
    }
    for more in ["x", ".", "=", "==", " ", "\n", ".x", "\0"] {
        assert!(world.verify(&format!("{token}{more}")).is_err(), "{more:?}");
        assert!(world.verify(&format!("{more}{token}")).is_err(), "{more:?}");
    }
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let standard = signature.replace('-', "+").replace('_', "/");
    if standard != signature {
        assert_eq!(world.verify(&format!("{signed}.{standard}")), Err(BadToken::Forged));
    }
    let huge = world.payload(|claims| claims["scope"] = "x".repeat(9_000).into());
    let huge = world.signed(&good_header(&world.kid()), &huge);
    assert_eq!(world.verify(&huge), Err(BadToken::Forged));
    let endless = format!("{}.x.x", "A".repeat(100_000));
    assert_eq!(world.verify(&endless), Err(BadToken::Foreign));
}

/// R-F3: a token counts here, now, and as what it is.
#[test]
fn claims_are_checked() {
    let world = World::new();
    let header = good_header(&world.kid());
    let at = world.now().as_second();
    let judge = |change: &dyn Fn(&mut Value)| {
        world.verify(&world.signed(&header, &world.payload(change))).err()
    };
    let set = |name: &'static str, value: Value| judge(&move |claims| claims[name] = value.clone());
    for name in ["iss", "aud"] {
        for wrong in
            [json!("https://other.example"), json!(format!("{URL}/")), json!([URL]), json!(null)]
        {
            assert_eq!(set(name, wrong.clone()), Some(BadToken::Misdirected), "{name} {wrong}");
        }
    }
    for (name, wrong) in [
        ("sub", json!("1001@acme")),
        ("sub", json!("00000000000000000000000000001234")),
        ("sid", json!("x")),
        ("sid", json!(jws::encode(&[7; 31]))),
        ("jti", json!("")),
        ("exp", json!("tomorrow")),
        ("exp", json!(1e30)),
        ("exp", json!(i64::MAX)),
        ("nbf", json!(i64::MIN)),
        ("iat", json!(null)),
        ("client_id", json!(7)),
    ] {
        assert_eq!(set(name, wrong.clone()), Some(BadToken::Misdirected), "{name} {wrong}");
    }
    for (name, value, expected) in [
        ("exp", at, Some(BadToken::Expired)),
        ("exp", at - 59, Some(BadToken::Expired)),
        ("exp", at + 1, None),
        ("nbf", at + 60, None),
        ("nbf", at + 61, Some(BadToken::Expired)),
        ("iat", at + 60, None),
        ("iat", at + 61, Some(BadToken::Expired)),
    ] {
        assert_eq!(set(name, json!(value)), expected, "{name} {value}");
    }
    for name in ["iss", "aud", "sub", "client_id", "sid", "iat", "nbf", "exp", "jti"] {
        let without = judge(&|claims| drop(claims.as_object_mut().unwrap().remove(name)));
        assert_eq!(without, Some(BadToken::Misdirected), "{name}");
    }
    let twice =
        world.payload(|_| ()).replacen('{', r#"{"sub":"00000000-0000-0000-0000-000000000001","#, 1);
    assert_eq!(world.verify(&world.signed(&header, &twice)), Err(BadToken::Misdirected));
    assert_eq!(world.verify(&world.signed(&header, "[]")), Err(BadToken::Misdirected));
}

/// R-F3: a rotation of the ring rotates these keys; tokens of before stay good for their time, and
/// the list of public keys shows what is needed to verify them, the newest first.
#[test]
fn keys_rotate_with_the_ring() {
    let world = World::new();
    let listed = || -> Vec<String> {
        let jwks = world.signer.jwks(world.now());
        let keys = jwks["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let life = |token: &str| token.split('.').next().unwrap().to_owned();
    let before = world.signer.sign(&world.claims());
    let first = world.kid();
    world.clock.advance(SignedDuration::from_secs(10));
    world.ring.rotate().unwrap();
    let after = world.signer.sign(&world.claims());
    assert_ne!(life(&before), life(&after));
    assert!(world.verify(&before).is_ok() && world.verify(&after).is_ok());
    let second = world.kid();
    assert_eq!(listed(), [second.clone(), first.clone()]);
    world.clock.advance(SignedDuration::from_hours(24));
    assert_eq!(listed(), [second.clone(), first]);
    world.clock.advance(SignedDuration::from_hours(1));
    assert_eq!(listed(), std::slice::from_ref(&second));
    world.ring.rotate().unwrap();
    assert_eq!(listed()[1..], [second]);
    let jwk = &world.signer.jwks(world.now())["keys"][0];
    assert_eq!(
        (&jwk["kty"], &jwk["crv"], &jwk["alg"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"))
    );
    assert_eq!(jwk.as_object().unwrap().len(), 6, "nothing secret: {jwk}");
}

/// R-F3: nodes on one ring sign alike, and notice each other's rotations.
#[test]
fn a_rotation_elsewhere_is_seen() {
    let world = World::new();
    let (ring, there) = world.neighbour();
    assert!(there.verify(&world.signer.sign(&world.claims()), world.now()).is_ok());
    // Only what is looked for after the last look is seen without waiting.
    let token = {
        ring.rotate().unwrap();
        there.sign(&world.claims())
    };
    let patience = std::time::Instant::now();
    while world.verify(&token).is_err() {
        assert!(patience.elapsed() < Duration::from_secs(3), "at most once a second");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(world.kid(), there.jwks(world.now())["keys"][0]["kid"].as_str().unwrap());
    let restarted = world.neighbour().1;
    assert!(restarted.verify(&token, world.now()).is_ok());
}
