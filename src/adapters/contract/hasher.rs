//! [`PasswordHasher`].

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::adapters::argon2_hasher::{Argon2Hasher, Argon2Settings, SpentHook};
use crate::adapters::random::OsRandom;
use crate::domain::secret::Secret;
use crate::ports::{HashError, PasswordHasher, Verified};

/// Cheap parameters: the tests look at the rules, not at the cost.
const CHEAP: Argon2Settings = Argon2Settings { memory_kib: 256, iterations: 2, parallelism: 1 };

fn hasher(
    settings: Argon2Settings,
    threads: usize,
    queue: usize,
    spent: SpentHook,
) -> Argon2Hasher {
    Argon2Hasher::new(settings, threads, queue, Arc::new(OsRandom), spent).unwrap()
}

fn cheap() -> Argon2Hasher {
    hasher(CHEAP, 2, 100, Box::new(|_| {}))
}

/// R-B2: right is right, wrong is wrong, and no two hashes are alike.
#[tokio::test]
async fn a_hash_knows_its_password() {
    let hasher = cheap();
    let password = Secret::new("Correct horse 1");
    let phc = hasher.hash(&password).await.unwrap();
    assert!(phc.starts_with("$argon2id$v=19$m=256,t=2,p=1$"), "{phc}");
    assert_ne!(phc, hasher.hash(&password).await.unwrap());
    assert_eq!(hasher.verify(&password, &phc).await.unwrap(), Verified::Right);
    for wrong in ["correct horse 1", "Correct horse 1 ", "Correct horse", ""] {
        let verdict = hasher.verify(&Secret::new(wrong), &phc).await.unwrap();
        assert_eq!(verdict, Verified::Wrong, "{wrong}");
    }
}

/// R-B2: the defaults are OWASP's parameters.
#[test]
fn the_defaults_are_owasps() {
    let Argon2Settings { memory_kib, iterations, parallelism } = Argon2Settings::default();
    assert_eq!((memory_kib, iterations, parallelism), (19_456, 2, 1));
}

/// R-B2: hashes of the reference implementation are understood.
#[tokio::test]
async fn it_agrees_with_the_reference_implementation() {
    let phc =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let hasher = cheap();
    assert_eq!(hasher.verify(&Secret::new("password"), phc).await.unwrap(), Verified::Right);
    assert_eq!(hasher.verify(&Secret::new("passwore"), phc).await.unwrap(), Verified::Wrong);
}

/// R-B2: a hash of other parameters still opens, greater ones too, and asks to be made anew.
#[tokio::test]
async fn other_parameters_are_outdated() {
    let password = Secret::new("Correct horse 1");
    let now = cheap();
    for other in [
        Argon2Settings { memory_kib: 64, ..CHEAP },
        Argon2Settings { memory_kib: 1024, ..CHEAP },
        Argon2Settings { iterations: 1, ..CHEAP },
        Argon2Settings { parallelism: 2, ..CHEAP },
    ] {
        let phc = hasher(other, 1, 10, Box::new(|_| {})).hash(&password).await.unwrap();
        let verdict = now.verify(&password, &phc).await.unwrap();
        assert_eq!(verdict, Verified::RightButOutdated, "{phc}");
        assert_eq!(now.verify(&Secret::new("x"), &phc).await.unwrap(), Verified::Wrong);
    }
    let phc = now.hash(&password).await.unwrap();
    assert_eq!(now.verify(&password, &phc).await.unwrap(), Verified::Right);
}

/// R-B1: a password is one password in every Unicode form, and never cut.
#[tokio::test]
async fn passwords_are_normalised_and_never_cut() {
    let hasher = cheap();
    let phc = hasher.hash(&Secret::new("Crème brûlée 1")).await.unwrap();
    let decomposed = Secret::new("Cre\u{300}me bru\u{302}le\u{301}e 1");
    assert_eq!(hasher.verify(&decomposed, &phc).await.unwrap(), Verified::Right);

    // 128 characters are allowed in either form, each of them counts, and 129 are too many.
    let longest = Secret::new("e\u{301}".repeat(127) + "1");
    let phc = hasher.hash(&longest).await.unwrap();
    let composed = "\u{e9}".repeat(127);
    let verdict = hasher.verify(&Secret::new(composed.clone() + "1"), &phc).await.unwrap();
    assert_eq!(verdict, Verified::Right);
    for other in [composed.clone() + "2", composed.clone(), composed.clone() + "12"] {
        assert_eq!(hasher.verify(&Secret::new(other), &phc).await.unwrap(), Verified::Wrong);
    }
    assert!(hasher.hash(&Secret::new(composed + "12")).await.is_err());
}

/// Security: a password of 1 MB is refused in less than 50 ms, without a hash.
#[tokio::test]
async fn a_megabyte_is_refused_at_once() {
    let hashes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&hashes);
    let count = move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let hasher = hasher(CHEAP, 1, 10, Box::new(count));
    let phc = hasher.hash(&Secret::new("Correct horse 1")).await.unwrap();
    assert_eq!(hashes.load(Ordering::SeqCst), 1);
    for text in ["x".repeat(1 << 20), "e\u{301}".repeat(1 << 19), "\u{fdfa}".repeat(1 << 18)] {
        let password = Secret::new(text);
        let begun = Instant::now();
        assert_eq!(hasher.verify(&password, &phc).await.unwrap(), Verified::Wrong);
        assert!(hasher.hash(&password).await.is_err());
        assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
    }
    assert_eq!(hashes.load(Ordering::SeqCst), 1);
}

/// A hash that cannot be read is an outage, never a wrong password.
#[tokio::test]
async fn an_unreadable_hash_is_no_wrong_password() {
    let hasher = cheap();
    for phc in [
        "",
        "plain text",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ",
        "$argon2id$v=19$m=4000000,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
    ] {
        let error = hasher.verify(&Secret::new("Canary-1"), phc).await.unwrap_err();
        assert!(matches!(error, HashError::Failed(_)), "{phc}");
        assert!(!format!("{error} {error:?}").contains("Canary-1"));
    }
}

/// Decision 8: as many at once as there are threads, a short queue, then `Busy`; who goes away
/// makes room.
#[tokio::test]
async fn a_flood_is_told_to_come_back() {
    let (release, gate) = mpsc::channel::<()>();
    let (gate, worked) = (Mutex::new(gate), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&worked);
    // Each job holds its thread until it is released.
    let hold = move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        let _ = gate.lock().recv();
    };
    let hasher = Arc::new(hasher(CHEAP, 1, 2, Box::new(hold)));
    let begin = || {
        let hasher = Arc::clone(&hasher);
        tokio::spawn(async move { hasher.hash(&Secret::new("Correct horse 1")).await })
    };
    let until = async |condition: &dyn Fn() -> bool| {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    let running = begin();
    until(&|| worked.load(Ordering::SeqCst) == 1).await;
    let waiting = [begin(), begin()];
    until(&|| hasher.queue_len() == 2).await;
    assert!(matches!(begin().await.unwrap(), Err(HashError::Busy)));
    let [leaving, staying] = waiting;
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    let late = begin();
    tokio::task::yield_now().await;
    assert!(matches!(begin().await.unwrap(), Err(HashError::Busy)));
    for _ in 0..3 {
        release.send(()).unwrap();
    }
    for job in [running, staying, late] {
        assert!(job.await.unwrap().is_ok());
    }
    // The one that was left is never worked on.
    assert_eq!((worked.load(Ordering::SeqCst), hasher.queue_len()), (3, 0));
}

/// Settings that argon2 does not know are an error at start.
#[test]
fn impossible_settings_are_refused() {
    let settings = Argon2Settings { memory_kib: 1, ..CHEAP };
    assert!(Argon2Hasher::new(settings, 1, 1, Arc::new(OsRandom), Box::new(|_| {})).is_err());
}
