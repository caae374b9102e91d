//! [`SessionStore`]: what holds for families of tokens in particular.

use std::time::Duration;

use super::tokens::family_of;
use super::{World, run_against};
use crate::domain::grant::PbxAccess;
use crate::domain::secret::Secret;
use crate::ports::{AccountChange, AccountStore, SessionStore};

/// R-F3: a family survives a restart with the application and its access to the PBX; no token and
/// no client's secret is readable on file.
async fn families_survive_a_restart(world: World) {
    let account = world.account("1001@abc.example").await;
    let record = family_of(&world, &account);
    world.sessions.open(record.clone()).await.unwrap();
    let world = world.restarted().await;
    let found = world.sessions.find(&record.id).await.unwrap().unwrap();
    assert_eq!(found.snapshot(), record);
    assert_eq!(found.jar().access, record.access);
    drop(found);
    world.database.close().await;
    for name in ["passgate.db", "passgate.db-wal"] {
        let bytes = std::fs::read(world.file(name)).unwrap_or_default();
        assert!(name != "passgate.db" || !bytes.is_empty());
        for secret in ["access-canary", "refresh-canary", "client-canary", "softphone"] {
            let secret = secret.as_bytes();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{name}");
        }
    }
}

/// R-F3: a renewed access is on file for the next node, and an older one does not overwrite it.
async fn a_renewed_access_is_saved(world: World) {
    let account = world.account("1001@abc.example").await;
    let session = world.sessions.open(family_of(&world, &account)).await.unwrap();
    let id = session.record().id;
    let neighbour = world.neighbour().await;
    let there = neighbour.sessions.find(&id).await.unwrap().unwrap();
    let access = |token: &str| PbxAccess {
        authorization: Secret::new(token),
        refresh: None,
        expires_at: None,
        fields: serde_json::Map::new(),
    };
    assert!(session.replace_access(0, access("Bearer second"), 0));
    assert!(!session.replace_access(0, access("Bearer late"), 0), "of the access before");
    world.sessions.save_jar(&session).await.unwrap();
    assert!(there.replace_access(0, access("Bearer stale"), 0));
    neighbour.sessions.save_jar(&there).await.unwrap();
    drop((session, there));
    let world = world.restarted().await;
    let found = world.sessions.find(&id).await.unwrap().unwrap();
    assert_eq!(found.jar().access.as_deref(), Some(&access("Bearer second")));
    assert!(found.record().grant.is_some());
}

/// R-C8: a new password, disabling and "end all others" end families like any other session.
async fn families_end_with_their_account(world: World) {
    let account = world.account("1001@abc.example").await;
    let own = world.sessions.open(world.session_of(&account)).await.unwrap();
    let family = world.sessions.open(family_of(&world, &account)).await.unwrap();
    let listed = world.sessions.of_account(account.id).await.unwrap();
    assert_eq!(listed.iter().filter(|record| !record.is_portal()).count(), 1);
    assert_eq!(world.sessions.end_all(account.id, Some(own.record().id)).await.unwrap(), 1);
    assert!(family.has_ended() && !own.has_ended());
    for disable in [false, true] {
        let account = world.accounts.by_id(account.id).await.unwrap().unwrap();
        let family = world.sessions.open(family_of(&world, &account)).await.unwrap();
        let neighbour = world.neighbour().await;
        let there = neighbour.sessions.find(&family.record().id).await.unwrap().unwrap();
        neighbour.sessions.revalidate().await.unwrap();
        if disable {
            let change = AccountChange::Disabled(true);
            world.accounts.change(account.id, change, None).await.unwrap();
        } else {
            world.set_password(account.id, "p").await;
        }
        world.sessions.revalidate().await.unwrap();
        neighbour.sessions.revalidate().await.unwrap();
        assert!(family.has_ended() && there.has_ended());
        assert!(world.sessions.find(&family.record().id).await.unwrap().is_none());
    }
}

/// R-F3: a family lives until its moment, used or not; the limits of portal sessions are not its
/// own. The gauges tell one from the other.
async fn a_family_lasts_until_its_moment(world: World) {
    let account = world.account("1001@abc.example").await;
    let portal = world.sessions.open(world.session_of(&account)).await.unwrap();
    let family = world.sessions.open(family_of(&world, &account)).await.unwrap();
    let until = family.record().grant.as_ref().unwrap().expires_at;
    let counts = async || {
        let sessions = &world.sessions;
        (sessions.count().await.unwrap(), sessions.count_families().await.unwrap())
    };
    assert_eq!(counts().await, (1, 1));
    world.pass(23 * 3600);
    let limit = world.now() - Duration::from_secs(60);
    assert_eq!(world.sessions.purge(limit, Some(limit), world.now()).await.unwrap(), 1);
    assert_eq!((portal.has_ended(), family.has_ended()), (true, false));
    assert_eq!(counts().await, (0, 1));
    // In use to the last moment, with a WebSocket open.
    world.pass(3600 - 1);
    family.touch(world.now());
    family.watch(Box::new(|| {}));
    let purge = async || world.sessions.purge(limit, None, world.now()).await.unwrap();
    assert_eq!(purge().await, 0);
    world.pass(1);
    assert_eq!((world.now(), purge().await), (until, 1));
    assert!(family.has_ended());
    assert_eq!(counts().await, (0, 0));
}

mod cached_sqlite {
    use super::*;

    run_against!(World::sqlite:
        families_survive_a_restart,
        a_renewed_access_is_saved,
        families_end_with_their_account,
        a_family_lasts_until_its_moment,
    );
}
