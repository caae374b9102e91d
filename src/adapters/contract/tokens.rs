//! [`TokenStore`].

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{World, fresh_token, run_against};
use crate::domain::account::Account;
use crate::domain::api_client::ClientCredentials;
use crate::domain::grant::{Grant, GrantKind, PbxAccess, TokenHash};
use crate::domain::secret::Secret;
use crate::domain::session::{SessionId, SessionRecord};
use crate::ports::{
    AccountChange, AccountStore, NotedToken, Rotated, Rotation, SessionStore, TokenStore, TokenUse,
};

const GRACE: SignedDuration = SignedDuration::from_secs(10);

/// A family of tokens of `account` that begins now and lasts a day, not yet stored.
pub(super) fn family_of(world: &World, account: &Account) -> SessionRecord {
    let client = ClientCredentials { id: "softphone".into(), secret: Secret::new("client-canary") };
    let mut fields = serde_json::Map::new();
    fields.insert("domain".into(), "abc.example".into());
    SessionRecord {
        grant: Some(Box::new(Grant {
            kind: GrantKind::Jwt,
            endpoint: "v1".into(),
            client: Some(client),
            expires_at: world.now() + SignedDuration::from_hours(24),
        })),
        access: Some(Arc::new(PbxAccess {
            authorization: Secret::new("Bearer access-canary"),
            refresh: Some(Secret::new("refresh-canary")),
            expires_at: Some(world.now() + SignedDuration::from_hours(1)),
            fields,
        })),
        ..world.session_of(account)
    }
}

async fn family(world: &World, account: &Account) -> SessionId {
    world.sessions.open(family_of(world, account)).await.unwrap().record().id
}

fn token(text: &str) -> TokenHash {
    TokenHash::of(text)
}

fn noted(family: SessionId, text: &str, usage: TokenUse, expires_at: Timestamp) -> NotedToken {
    NotedToken { hash: token(text), usage, family, expires_at }
}

/// The token of `place` is shown, and its successor would be that of the next place.
fn turn(world: &World, family: SessionId, place: u64) -> Rotation {
    Rotation {
        family,
        shown: place,
        shown_hash: token(&format!("place {place}")),
        successor: token(&format!("place {}", place + 1)),
        answer: Some(format!("answer {}", place + 1).into_bytes()),
        repeatable_since: world.now() - GRACE,
        now: world.now(),
    }
}

async fn chain(world: &World, account: &Account) -> SessionId {
    let family = family(world, account).await;
    assert!(world.tokens.begin_chain(&family, token("place 0")).await.unwrap());
    family
}

/// R-F3: of many who show the same refresh token at once, one gets a new one.
async fn one_of_many_turns(world: World) {
    let account = world.account("1001@abc.example").await;
    let family = chain(&world, &account).await;
    let neighbour = world.neighbour().await;
    let mut turns = Vec::new();
    for number in 0..20 {
        let store = if number % 2 == 0 { &world.tokens } else { &neighbour.tokens }.clone();
        let rotation = Rotation {
            answer: None,
            successor: token(&format!("successor {number}")),
            ..turn(&world, family, 0)
        };
        turns.push(tokio::spawn(async move { (number, store.rotate(&rotation).await.unwrap()) }));
    }
    let mut winners = Vec::new();
    for turned in turns {
        match turned.await.unwrap() {
            (number, Rotated::Now) => winners.push(number),
            (_, other) => assert_eq!(other, Rotated::Reused),
        }
    }
    let [winner] = winners[..] else { panic!("{winners:?}") };
    let next =
        Rotation { shown_hash: token(&format!("successor {winner}")), ..turn(&world, family, 1) };
    assert_eq!(world.tokens.rotate(&next).await.unwrap(), Rotated::Now, "the winner's counts");
}

/// R-F3 `reuse_grace`: a client that lost the answer gets it again, for a moment, and only as long
/// as nobody went on with it.
async fn a_lost_answer_is_repeated(world: World) {
    let account = world.account("1001@abc.example").await;
    let family = chain(&world, &account).await;
    let rotate = async |rotation: Rotation| world.tokens.rotate(&rotation).await.unwrap();
    assert_eq!(rotate(turn(&world, family, 0)).await, Rotated::Now);
    world.pass(9);
    for _ in 0..2 {
        let again = Rotation { answer: Some(b"other".to_vec()), ..turn(&world, family, 0) };
        assert_eq!(rotate(again).await, Rotated::Again(b"answer 1".to_vec()));
    }
    world.pass(1);
    assert_eq!(rotate(turn(&world, family, 0)).await, Rotated::Reused, "too late");

    assert_eq!(rotate(turn(&world, family, 1)).await, Rotated::Now);
    assert_eq!(rotate(turn(&world, family, 0)).await, Rotated::Reused, "its successor was used");
    assert_eq!(rotate(turn(&world, family, 1)).await, Rotated::Again(b"answer 2".to_vec()));

    let unrepeated = Rotation { answer: None, ..turn(&world, family, 2) };
    assert_eq!(rotate(unrepeated).await, Rotated::Now);
    assert_eq!(rotate(turn(&world, family, 2)).await, Rotated::Reused, "there is no answer");
}

/// R-F3: what never was a token of the chain turns nothing, and is not taken for a copy.
async fn strange_tokens_turn_nothing(world: World) {
    let account = world.account("1001@abc.example").await;
    let family = chain(&world, &account).await;
    let rotate = async |rotation: Rotation| world.tokens.rotate(&rotation).await.unwrap();
    assert_eq!(rotate(turn(&world, family, 0)).await, Rotated::Now);
    for place in [0, 1] {
        let strange = Rotation { shown_hash: token("made up"), ..turn(&world, family, place) };
        assert_eq!(rotate(strange).await, Rotated::Gone, "{place}");
    }
    assert_eq!(rotate(turn(&world, family, 7)).await, Rotated::Gone, "not given yet");
    assert_eq!(rotate(turn(&world, fresh_token().id(), 0)).await, Rotated::Gone);
    let newest = world.tokens.newest(&family).await.unwrap();
    assert_eq!(newest, Some((1, token("place 1"))), "nothing was turned");
    assert_eq!(world.tokens.newest(&fresh_token().id()).await.unwrap(), None);
    assert_eq!(rotate(turn(&world, family, 1)).await, Rotated::Now);
}

/// R-F3, R-C8: a chain ends with its session, with a new password and with the account.
async fn a_chain_ends_with_its_session(world: World) {
    let tokens = world.tokens.clone();
    for way in ["sign-out", "password", "disabled", "deleted"] {
        let account = world.account(&format!("{way}@abc.example")).await;
        let family = chain(&world, &account).await;
        let until = world.now() + GRACE;
        let text = format!("token {way}");
        let note = noted(family, &text, TokenUse::Access, until);
        assert!(tokens.note(&[note], &[]).await.unwrap());
        match way {
            "sign-out" => drop(world.sessions.end(&family).await.unwrap()),
            "password" => drop(world.set_password(account.id, "p").await),
            "disabled" => {
                let change = AccountChange::Disabled(true);
                world.accounts.change(account.id, change, None).await.unwrap();
            }
            _ => drop(world.accounts.delete(account.id).await.unwrap()),
        }
        assert_eq!(tokens.rotate(&turn(&world, family, 0)).await.unwrap(), Rotated::Gone, "{way}");
        assert_eq!(tokens.newest(&family).await.unwrap(), None, "{way}");
        assert!(!tokens.begin_chain(&family, token("anew")).await.unwrap(), "{way}");
        let late = noted(family, "late", TokenUse::Access, until);
        assert!(!tokens.note(&[late], &[]).await.unwrap(), "{way}");
        assert_eq!(tokens.find(&token("late")).await.unwrap(), None);
        // R-F6: it is not taken for one that the PBX issued before us.
        assert_eq!(tokens.find(&token(&text)).await.unwrap(), Some(note), "{way}");
    }
}

/// R-F3: a turn survives a restart and a power cut; of tokens only the hashes are on file.
async fn a_turn_is_not_lost(world: World) {
    let account = world.account("1001@abc.example").await;
    let family = chain(&world, &account).await;
    let rotation = turn(&world, family, 0);
    let (turned, durable) = world.durably(world.tokens.rotate(&rotation)).await;
    assert_eq!((turned.unwrap(), durable), (Rotated::Now, true));
    let note = noted(family, "noted-canary", TokenUse::Refresh, world.now() + GRACE);
    assert!(world.tokens.note(&[note], &[]).await.unwrap());
    let world = world.restarted().await;
    assert_eq!(world.tokens.find(&note.hash).await.unwrap(), Some(note));
    assert_eq!(world.tokens.rotate(&turn(&world, family, 1)).await.unwrap(), Rotated::Now);
    for name in ["passgate.db", "passgate.db-wal"] {
        let bytes = std::fs::read(world.file(name)).unwrap_or_default();
        for secret in [&b"noted-canary"[..], b"place 1"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{name}");
        }
    }
}

/// R-F3, mode `pass`: tokens of the PBX replace each other; of two who refresh, one succeeds and
/// the other leaves no trace.
async fn noted_tokens_replace_each_other(world: World) {
    let account = world.account("1001@abc.example").await;
    let family = family(&world, &account).await;
    let until = world.now() + GRACE;
    let access = |text| noted(family, text, TokenUse::Access, until);
    let refresh = |text| noted(family, text, TokenUse::Refresh, until);
    let spent = |token: NotedToken| NotedToken { usage: TokenUse::Spent, ..token };
    let note = async |tokens: &[NotedToken], replaced: &[TokenHash]| {
        world.tokens.note(tokens, replaced).await.unwrap()
    };
    assert!(note(&[access("a1"), refresh("r1")], &[]).await);
    assert!(note(&[access("a2"), refresh("r2")], &[token("r1"), token("a1")]).await);
    assert!(!note(&[access("a3"), refresh("r3")], &[token("a2"), token("r1")]).await);
    for (text, expected) in [
        ("a1", Some(spent(access("a1")))),
        ("r1", Some(spent(refresh("r1")))),
        ("a2", Some(access("a2"))),
        ("r2", Some(refresh("r2"))),
        ("a3", None),
    ] {
        assert_eq!(world.tokens.find(&token(text)).await.unwrap(), expected, "{text}");
    }
    // A PBX that gives the same token to the next login: it belongs to that.
    let later = self::family(&world, &account).await;
    let again = noted(later, "a2", TokenUse::Access, until + GRACE);
    assert!(note(&[again], &[]).await);
    assert_eq!(world.tokens.find(&token("a2")).await.unwrap(), Some(again));
    world.sessions.end(&family).await.unwrap();
    assert_eq!(world.tokens.find(&token("a2")).await.unwrap(), Some(again));
    assert_eq!(world.tokens.find(&token("r2")).await.unwrap(), Some(refresh("r2")));
    let nobodys = noted(SessionId(fresh_token().0), "x", TokenUse::Access, until);
    assert!(!note(&[nobodys], &[token("a2")]).await);
    assert_eq!(world.tokens.find(&token("a2")).await.unwrap(), Some(again), "nothing happened");
}

/// Data minimisation: tokens that have expired are forgotten, and answers that are not repeated.
async fn what_has_expired_is_forgotten(world: World) {
    let account = world.account("1001@abc.example").await;
    let family = chain(&world, &account).await;
    let (early, late) = (world.now() + GRACE, world.now() + GRACE * 60);
    let tokens = [("early", early), ("late", late)]
        .map(|(text, until)| noted(family, text, TokenUse::Access, until));
    assert!(world.tokens.note(&tokens, &[]).await.unwrap());
    let long = |rotation: Rotation| Rotation { repeatable_since: Timestamp::MIN, ..rotation };
    let rotate = async |rotation: Rotation| world.tokens.rotate(&rotation).await.unwrap();
    assert_eq!(rotate(turn(&world, family, 0)).await, Rotated::Now);
    world.tokens.purge(early).await.unwrap();
    assert!(world.tokens.find(&token("early")).await.unwrap().is_some());
    assert!(matches!(rotate(long(turn(&world, family, 0))).await, Rotated::Again(_)));
    world.pass(301);
    world.tokens.purge(world.now()).await.unwrap();
    assert!(world.tokens.find(&token("early")).await.unwrap().is_none());
    assert!(world.tokens.find(&token("late")).await.unwrap().is_some());
    assert_eq!(rotate(long(turn(&world, family, 0))).await, Rotated::Reused, "it is gone");
}

mod sqlite {
    use super::*;

    run_against!(World::sqlite:
        one_of_many_turns,
        a_lost_answer_is_repeated,
        strange_tokens_turn_nothing,
        a_chain_ends_with_its_session,
        a_turn_is_not_lost,
        noted_tokens_replace_each_other,
        what_has_expired_is_forgotten,
    );
}
