//! The people of the demo, as Passgate knows them at its start.

use std::sync::Arc;

use uuid::Uuid;

use crate::app::StartError;
use crate::demo::people::{SamplePerson, SampleState, sample_people};
use crate::domain::account::{AccountId, NewAccount, Role, SealedPin};
use crate::domain::lockout::{AttemptOutcome, AttemptSubject};
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::flows::Services;
use crate::ports::{Created, CredentialChange, NewPassword, Reserved, Unavailable};

/// Makes the accounts of everybody whom Passgate is to know already.
pub(super) async fn seed(services: Arc<Services>) -> Result<(), StartError> {
    for person in sample_people() {
        make(&services, &person)
            .await
            .map_err(|error| StartError::of("people of the demo")(&error))?;
    }
    Ok(())
}

async fn make(services: &Services, person: &SamplePerson) -> Result<(), Unavailable> {
    if person.state == SampleState::Unknown {
        return Ok(());
    }
    let wrong = |error: &dyn std::fmt::Display| Unavailable::new("demo", error);
    let login = LoginName::parse(&person.canonical_login).map_err(|error| wrong(&error))?;
    let role = if person.manager { Role::Manager } else { Role::User };
    let new = NewAccount { login, email: person.email.clone(), name: person.name.clone(), role };
    let id = AccountId(Uuid::from_bytes(services.random.bytes()));
    let now = services.clock.now();
    let (Created::New(account) | Created::Exists(account)) =
        services.accounts.create(id, new, now).await?;

    if let Some(password) = person.password() {
        let phc =
            services.hasher.hash(&Secret::new(password)).await.map_err(|error| wrong(&error))?;
        // As after a first login with the PIN: it is replayed to the PBX from here.
        let sealed = services.vault.seal(&format!("pin:{}", account.id), person.pin.as_bytes());
        let change = CredentialChange {
            password: Some(NewPassword { phc, at: now, expected_epoch: account.epoch }),
            pin: Some(SealedPin(sealed)),
            ..CredentialChange::of(account.id)
        };
        services.credentials.commit(change).await?;
    }
    if person.state == SampleState::Locked {
        lock(services, &account.login).await?;
    }
    Ok(())
}

/// Fails often enough.
async fn lock(services: &Services, login: &LoginName) -> Result<(), Unavailable> {
    let policy = &services.policies.lockout;
    let subject = AttemptSubject { name: login.to_string(), device: None, address: None };
    for _ in 0..policy.max_failures {
        let now = services.clock.now();
        if let Reserved::Allowed(reservation) =
            services.attempts.reserve(&subject, policy, now).await?
        {
            services.attempts.settle(reservation, AttemptOutcome::Failure, policy, now).await?;
        }
    }
    Ok(())
}
