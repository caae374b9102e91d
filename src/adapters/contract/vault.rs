//! [`Vault`], and what the key ring promises about its file.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::{World, run_against};
use crate::adapters::clock::MovableClock;
use crate::adapters::key_ring::{KeyRing, KeyRingError, KeyState};
use crate::adapters::random::OsRandom;
use crate::adapters::sqlite::RingCheckError;
use crate::ports::{Vault, VaultError};

fn open(path: &Path) -> Result<KeyRing, KeyRingError> {
    let clock = MovableClock::standing_at(Timestamp::from_second(1_542_000_000).unwrap());
    KeyRing::open_or_create(path, Arc::new(clock), Arc::new(OsRandom))
}

fn ring() -> (tempfile::TempDir, KeyRing) {
    let place = tempfile::tempdir().unwrap();
    let ring = open(&place.path().join("data/keyring.json")).unwrap();
    (place, ring)
}

/// R-B5: what was sealed for a purpose opens for it, and only unharmed.
#[test]
fn a_sealed_value_opens_for_its_purpose_only() {
    let (_place, ring) = ring();
    let vault: &dyn Vault = &ring;
    for plain in [&b"4711"[..], b"", &[0; 5000]] {
        let sealed = vault.seal("pin:1", plain);
        assert_eq!(vault.open("pin:1", &sealed).unwrap().as_slice(), plain);
        assert_ne!(sealed, vault.seal("pin:1", plain), "nonces never repeat");
        for purpose in ["pin:2", "pin:", "pin:11", ""] {
            assert_eq!(vault.open(purpose, &sealed).unwrap_err(), VaultError::Invalid);
        }
    }
    let sealed = vault.seal("pin:1", b"4711");
    assert!(!sealed.windows(4).any(|window| window == b"4711"));
    for index in 0..sealed.len() {
        let mut tampered = sealed.clone();
        tampered[index] ^= 1;
        assert!(vault.open("pin:1", &tampered).is_err(), "byte {index}");
        assert!(vault.open("pin:1", &sealed[..index]).is_err(), "cut at {index}");
    }
    assert!(vault.open("pin:1", &[sealed.as_slice(), b"x"].concat()).is_err());
}

/// R-B5: after a rotation old values still open, new ones are under the new key, also after a
/// restart; a key that is gone is named.
#[test]
fn rotation_keeps_old_values_readable() {
    let (place, ring) = ring();
    let path = place.path().join("data/keyring.json");
    let old = ring.seal("p", b"old");
    let fingerprint = ring.fingerprint("p", b"x");
    let lost = std::fs::read(&path).unwrap();
    assert_eq!(ring.rotate().unwrap().id, 2);
    let new = ring.seal("p", b"new");
    for ring in [ring, open(&path).unwrap()] {
        assert_eq!(ring.open("p", &old).unwrap().as_slice(), b"old");
        assert_eq!(ring.open("p", &new).unwrap().as_slice(), b"new");
        assert_eq!(ring.fingerprint("p", b"x"), fingerprint);
        let states: Vec<_> = ring.list().iter().map(|key| (key.id, key.state)).collect();
        assert_eq!(states, [(1, KeyState::Retired), (2, KeyState::Active)]);
    }
    std::fs::write(&path, lost).unwrap();
    let restored = open(&path).unwrap();
    assert_eq!(restored.open("p", &new).unwrap_err(), VaultError::UnknownKey(2));
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left");
}

/// Configuration `keys.file`: nodes share one ring; a rotation by one is seen by the others.
#[test]
fn a_rotation_elsewhere_is_seen() {
    let (place, here) = ring();
    let there = open(&place.path().join("data/keyring.json")).unwrap();
    there.rotate().unwrap();
    let sealed = there.seal("p", b"x");
    assert_eq!(here.open("p", &sealed).unwrap().as_slice(), b"x");
    assert_eq!(here.list(), there.list());
    assert_eq!(here.rotate().unwrap().id, 3);
}

/// R-C5: fingerprints tell equal from different, by purpose, and only with the ring.
#[test]
fn fingerprints_need_the_ring() {
    let (_place, ring) = ring();
    let (_other_place, other) = self::ring();
    assert_eq!(ring.fingerprint("former", b"4711"), ring.fingerprint("former", b"4711"));
    assert_ne!(ring.fingerprint("former", b"4711"), ring.fingerprint("former", b"4712"));
    assert_ne!(ring.fingerprint("ab", b"c"), ring.fingerprint("a", b"bc"));
    assert_ne!(ring.fingerprint("former", b"4711"), other.fingerprint("former", b"4711"));
}

/// Configuration: the ring is made at first start with 0600, and refused when others may read it.
#[test]
fn the_file_is_closed_to_others() {
    let (place, _ring) = ring();
    let path = place.path().join("data/keyring.json");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    open(&path).unwrap().rotate().unwrap();
    assert_eq!(mode(&path), 0o600);
    for exposed in [0o640, 0o604, 0o620, 0o666] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(exposed)).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, KeyRingError::Exposed { .. }), "{error}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}

/// Security: neither Debug output nor an error holds a part of a key.
#[test]
fn keys_are_never_shown() {
    let (place, ring) = ring();
    let path = place.path().join("data/keyring.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys = [&file["keys"][0]["key"], &file["fingerprint_key"]].map(|key| key.as_str().unwrap());
    let mut shown = vec![format!("{ring:?} {:?}", ring.list())];
    for broken in [
        text.replace(keys[0], &keys[0][..20]),
        text.replace(keys[1], &format!("{}!", keys[1])),
        text.replace("\"version\": 1", "\"version\": 9"),
        text.replace("\"fingerprint_key\"", "\"other\""),
        text[..text.len() / 2].to_owned(),
        String::new(),
        text.replace("\"id\": 1", "\"id\": \"x\""),
    ] {
        std::fs::write(&path, &broken).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, KeyRingError::Malformed { .. }), "{error}");
        shown.push(format!("{error} {error:?}"));
    }
    for text in shown {
        for key in keys {
            assert!(!text.contains(&key[..8]), "{text}");
        }
    }
}

/// Faults: a ring that was lost and made anew is recognised before anything is sealed with it.
async fn a_strange_ring_is_refused(world: World) {
    let own = open(&world.file("keyring.json")).unwrap();
    world.database.check_ring(&own).await.unwrap();
    world.database.check_ring(&own).await.unwrap();
    own.rotate().unwrap();
    let world = world.restarted().await;
    world.database.check_ring(&open(&world.file("keyring.json")).unwrap()).await.unwrap();
    std::fs::remove_file(world.file("keyring.json")).unwrap();
    let anew = open(&world.file("keyring.json")).unwrap();
    let error = world.database.check_ring(&anew).await.unwrap_err();
    assert!(matches!(error, RingCheckError::Stranger));
    assert!(error.to_string().contains("the key ring does not belong to this database"));
}

mod key_ring {
    use super::*;

    run_against!(World::sqlite: a_strange_ring_is_refused);
}
