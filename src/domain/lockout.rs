//! Counting failed logins: 5 within 15 minutes, then 15 minutes of waiting (R-C5).
//!
//! An attempt is *reserved* before anything is verified, so that fifty parallel guesses cannot
//! all slip through, and given back when it turns out right or when an outage kept it from being
//! judged.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv6Net};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::login_name::LoginName;

/// The configured limits (`[lockout]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockoutPolicy {
    /// Failures within the window that lock a login name.
    pub max_failures: u32,
    /// How far back failures count.
    pub window: Duration,
    /// How long a lock lasts.
    pub duration: Duration,
    /// Failures within the window that lock a client address.
    pub max_failures_per_address: u32,
    /// Networks that share one address among many users: never locked by address.
    pub offices: Vec<IpNet>,
    /// Every refusal takes at least this long, so that its time says nothing.
    pub refusal_floor: Duration,
    /// The address on file is told when a login name is locked.
    pub tell_owner: bool,
}

/// What was locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockScope {
    /// The login name, whoever asks.
    Name,
    /// The login name, on one browser that has signed in before.
    Device,
    /// The client's address.
    Address,
}

/// Who is counted for an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptSubject {
    /// The canonical login name, or the folded text when it names nobody: unknown names count too.
    pub name: String,
    /// Id from the device cookie, when this browser signed in to this account before. It has a
    /// counter of its own, so that strangers cannot lock the owner out.
    pub device: Option<String>,
    /// The address's counter; `None` for known office networks.
    pub address: Option<String>,
}

impl AttemptSubject {
    /// The counters of this attempt with their limits, the name's (or device's) first.
    pub fn counters(&self, policy: &LockoutPolicy) -> Vec<(LockScope, String, u32)> {
        let mut counters = vec![match &self.device {
            Some(device) => {
                (LockScope::Device, format!("device:{device}:{}", self.name), policy.max_failures)
            }
            None => (LockScope::Name, name_key(&self.name), policy.max_failures),
        }];
        if let Some(address) = &self.address {
            let key = format!("address:{address}");
            counters.push((LockScope::Address, key, policy.max_failures_per_address));
        }
        counters
    }
}

/// The key of a login name's counter.
pub fn name_key(name: &str) -> String {
    format!("name:{name}")
}

/// The name under which tries of the current PIN are counted, apart from the logins of `login`.
/// Nobody can type it as a login name: those are folded to lower case.
pub fn pin_counter(login: &LoginName) -> String {
    format!("PIN:{login}")
}

/// Under which address a client is counted: IPv6 by /64, offices not at all.
pub fn counted_address(client: IpAddr, offices: &[IpNet]) -> Option<IpAddr> {
    let client = client.to_canonical();
    if offices.iter().any(|office| office.contains(&client)) {
        return None;
    }
    match client {
        IpAddr::V4(_) => Some(client),
        IpAddr::V6(v6) => Ipv6Net::new(v6, 64).ok().map(|net| net.network().into()),
    }
}

/// The same as the text of a counter's key.
pub fn address_key(client: IpAddr, policy: &LockoutPolicy) -> Option<String> {
    Some(match counted_address(client, &policy.offices)? {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("{v6}/64"),
    })
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Right: the name's counter is cleared, the address gets its reservation back.
    Success,
    /// Wrong: the reservations stay.
    Failure,
    /// The account's own former secret. The fingerprint tells repeats apart from guesses: each
    /// former secret counts once per window.
    FormerSecret([u8; 16]),
    /// Not judged (outage, overload): as if it had never been made.
    NotJudged,
}

/// The failures of one name, device or address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    failures: Vec<Timestamp>,
    locked_until: Option<Timestamp>,
    #[serde(default)]
    former: Vec<([u8; 16], Timestamp)>,
}

impl Counter {
    /// Until when it is locked, if it is.
    pub fn locked_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.locked_until.filter(|until| *until > now)
    }

    /// Counts an attempt in advance; `Err` with the end of the lock if there is one. An attempt
    /// during a lock does not extend it.
    pub fn reserve(
        &mut self,
        max: u32,
        policy: &LockoutPolicy,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        self.forget_old(policy, now);
        if let Some(until) = self.locked_until(now) {
            return Err(until);
        }
        self.failures.push(now);
        if self.failures.len() >= max as usize {
            self.locked_until = Some(now + policy.duration);
        }
        Ok(())
    }

    /// Takes back an attempt reserved at `at`, and the lock if that reservation made it.
    pub fn give_back(&mut self, max: u32, at: Timestamp) {
        if let Some(index) = self.failures.iter().position(|time| *time == at) {
            self.failures.remove(index);
        }
        if self.failures.len() < max as usize {
            self.locked_until = None;
        }
    }

    /// Forgets all failures (success, or an administrator unlocked).
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Notes a former secret; `true` if it was already counted in this window.
    pub fn repeats_former(
        &mut self,
        fingerprint: [u8; 16],
        policy: &LockoutPolicy,
        now: Timestamp,
    ) -> bool {
        self.forget_old(policy, now);
        if self.former.iter().any(|(known, _)| *known == fingerprint) {
            return true;
        }
        self.former.push((fingerprint, now));
        false
    }

    /// Whether nothing is left worth storing.
    pub fn is_idle(&self, policy: &LockoutPolicy, now: Timestamp) -> bool {
        let mut copy = self.clone();
        copy.forget_old(policy, now);
        copy == Self::default()
    }

    fn forget_old(&mut self, policy: &LockoutPolicy, now: Timestamp) {
        if self.locked_until.is_some_and(|until| until <= now) {
            self.locked_until = None;
            self.failures.clear();
        }
        // A clock that went backward must not keep failures, or a lock, beyond their length.
        let counts =
            |time: Timestamp| time <= now + Duration::from_secs(1) && time + policy.window > now;
        self.failures.retain(|time| counts(*time));
        self.former.retain(|(_, time)| counts(*time));
        if self.locked_until.is_some_and(|until| until > now + policy.duration) {
            self.locked_until = Some(now + policy.duration);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> LockoutPolicy {
        LockoutPolicy {
            max_failures: 5,
            window: Duration::from_secs(900),
            duration: Duration::from_secs(900),
            max_failures_per_address: 500,
            offices: vec!["192.0.2.0/24".parse().unwrap()],
            refusal_floor: Duration::ZERO,
            tell_owner: true,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    /// R-C5: strangers cannot lock the page that asks for the PIN by typing its counter's name.
    #[test]
    fn nobody_can_type_the_name_of_the_pin_counter() {
        let counter = pin_counter(&LoginName::parse("1001@acme").unwrap());
        assert_ne!(crate::domain::login_name::fold(&counter), counter);
    }

    /// R-C5: five failures lock; the lock ends 15 minutes after the fifth, and attempts made
    /// meanwhile do not extend it.
    #[test]
    fn five_failures_lock_for_fifteen_minutes() {
        let mut counter = Counter::default();
        for second in 0..5 {
            assert_eq!(counter.reserve(5, &policy(), at(second)), Ok(()));
        }
        for second in [5, 100, 903] {
            assert_eq!(counter.reserve(5, &policy(), at(second)), Err(at(904)));
        }
        assert_eq!(counter.reserve(5, &policy(), at(904)), Ok(()));
    }

    /// R-C5: failures older than the window do not count.
    #[test]
    fn slow_failures_never_lock() {
        let mut counter = Counter::default();
        for turn in 0..50 {
            assert_eq!(counter.reserve(5, &policy(), at(turn * 226)), Ok(()), "{turn}");
        }
    }

    /// R-C5: an attempt that was not judged leaves no trace, even where it had locked.
    #[test]
    fn outages_are_given_back() {
        let mut counter = Counter::default();
        for second in 0..5 {
            counter.reserve(5, &policy(), at(second)).unwrap();
        }
        counter.give_back(5, at(4));
        assert_eq!(counter.locked_until(at(5)), None);
        assert_eq!(counter.reserve(5, &policy(), at(5)), Ok(()));
        assert!(counter.reserve(5, &policy(), at(6)).is_err());
    }

    /// R-C5: the former secret counts once per window.
    #[test]
    fn a_repeated_former_secret_counts_once() {
        let mut counter = Counter::default();
        assert!(!counter.repeats_former([1; 16], &policy(), at(0)));
        assert!(counter.repeats_former([1; 16], &policy(), at(10)));
        assert!(!counter.repeats_former([2; 16], &policy(), at(10)));
        assert!(!counter.repeats_former([1; 16], &policy(), at(901)));
    }

    /// Clock jumps: backward, no lock lasts longer than configured.
    #[test]
    fn a_clock_set_back_does_not_lengthen_a_lock() {
        let mut counter = Counter::default();
        for _ in 0..5 {
            counter.reserve(5, &policy(), at(100_000)).unwrap();
        }
        assert!(counter.reserve(5, &policy(), at(0)).is_err());
        assert_eq!(counter.reserve(5, &policy(), at(901)), Ok(()));
    }

    /// R-C5: IPv6 by /64, mapped IPv4 as IPv4, office networks not at all.
    #[test]
    fn addresses_are_counted_by_network() {
        let key = |text: &str| address_key(text.parse().unwrap(), &policy());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:203.0.113.7"), key("203.0.113.7"));
        assert_eq!(key("192.0.2.9"), None);
    }
}
