//! `[password]`: rules for portal passwords (R-B1) and the cost of their hashes (R-B2).

use std::collections::HashMap;
use std::sync::Arc;

use super::section::Section;
use super::value::Value;
use crate::domain::login_name::fold;
use crate::domain::password_policy::{
    CommonPasswords, MAX_LENGTH, PasswordPolicy, PasswordProfile,
};

/// `[password]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordConfig {
    /// The rules of tenants without an entry of their own.
    pub policy: PasswordPolicy,
    /// The complete rules of the others, by canonical tenant.
    pub tenants: HashMap<String, PasswordPolicy>,
    /// `[password.argon2]`.
    pub argon2: Argon2Params,
}

/// Parameters of argon2id. Hashes made with others are renewed at the next login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Params {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl Default for Argon2Params {
    /// The OWASP Password Storage Cheat Sheet's choice for most machines.
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

impl PasswordConfig {
    /// The rules that hold for `tenant`.
    pub fn policy_for(&self, tenant: &str) -> &PasswordPolicy {
        self.tenants.get(tenant).unwrap_or(&self.policy)
    }
}

/// The OWASP cheat sheet's parameter sets, all of one strength: memory in KiB by iterations.
const OWASP: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

pub(super) fn read(section: &Section<'_>) -> PasswordConfig {
    let common = Arc::new(CommonPasswords::built_in());
    let policy = policy(section, &common, None);
    let mut tenants = HashMap::new();
    for (name, tenant) in section.named_sections("tenants") {
        let own = self::policy(&tenant, &common, Some(&policy));
        if tenants.insert(fold(name), own).is_some() {
            tenant.problem(
                "profile",
                &format!("the tenant \"{}\" is given twice", fold(name)),
                None,
            );
        }
    }
    let argon2 = argon2(&section.section("argon2"));
    PasswordConfig { policy, tenants, argon2 }
}

/// The rules of one entry: those of its profile, without one those of `general`, changed by what
/// is written.
fn policy(
    section: &Section<'_>,
    common: &Arc<CommonPasswords>,
    general: Option<&PasswordPolicy>,
) -> PasswordPolicy {
    let profiles = [("standard", PasswordProfile::Standard), ("nist", PasswordProfile::Nist)];
    let base = match (section.get("profile", |value| value.choice(&profiles)), general) {
        (Some(PasswordProfile::Nist), _) => PasswordPolicy::nist(),
        (None, Some(general)) => general.clone(),
        (Some(PasswordProfile::Standard) | None, _) => PasswordPolicy::standard(),
    };
    let longest = MAX_LENGTH as i64;
    let amount = |key, default| section.or(key, default, |v| v.integer(0..=longest));
    let min_length = section.or("min_length", base.min_length, |v| v.integer(1..=longest));
    let min_capitals = amount("min_capitals", base.min_capitals);
    let min_digits = amount("min_digits", base.min_digits);
    let blocklist = section.or("blocklist", base.blocklist.is_some(), Value::boolean);
    if min_capitals + min_digits > MAX_LENGTH {
        let message = format!("with min_capitals, more than the {MAX_LENGTH} characters allowed");
        section.problem("min_digits", &message, None);
    }
    let recommended = if base.profile == PasswordProfile::Nist { 15 } else { 8 };
    if min_length < recommended {
        let message = format!("shorter than the {recommended} characters that are recommended");
        section.warn("min_length", &message, None);
    }
    if !blocklist {
        let hint = "the most common passwords are the first that are guessed";
        section.warn("blocklist", "common passwords are accepted", Some(hint));
    }
    PasswordPolicy {
        min_length,
        min_capitals,
        min_digits,
        blocklist: blocklist.then(|| Arc::clone(common)),
        ..base
    }
}

fn argon2(section: &Section<'_>) -> Argon2Params {
    let default = Argon2Params::default();
    let params = Argon2Params {
        memory_kib: section.or("memory_kib", default.memory_kib, |v| v.integer(8..=4_194_304)),
        iterations: section.or("iterations", default.iterations, |v| v.integer(1..=100)),
        parallelism: section.or("parallelism", default.parallelism, |v| v.integer(1..=64)),
    };
    let strong = OWASP.iter().any(|(memory_kib, iterations)| {
        params.memory_kib >= *memory_kib && params.iterations >= *iterations
    });
    if !strong {
        let key = if section.has("memory_kib") { "memory_kib" } else { "iterations" };
        let message = format!(
            "{} KiB and {} iterations are weaker than OWASP's least",
            params.memory_kib, params.iterations
        );
        section.problem(key, &message, Some("19456 KiB with 2 iterations, or 47104 with 1"));
    }
    if params.memory_kib < 8 * params.parallelism {
        section.problem("parallelism", "needs 8 KiB of memory for each lane", None);
    }
    params
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};
    use super::*;

    /// R-B1: configurable per tenant; a second built-in profile `nist`.
    #[test]
    fn profiles_and_tenants() {
        let password = config(
            "[password]\nmin_length = 10\n[password.tenants.\"Bank\"]\nprofile = \"nist\"\n\
             [password.tenants.shop]\nmin_digits = 2\n",
        )
        .password;
        assert_eq!(password.policy_for("any"), &password.policy);
        assert_eq!(password.policy.min_length, 10);
        assert_eq!(password.policy_for("bank"), &PasswordPolicy::nist());
        let shop = password.policy_for("shop");
        assert_eq!((shop.min_length, shop.min_capitals, shop.min_digits), (10, 1, 2));
    }

    #[test]
    fn the_defaults_are_the_standard_rules() {
        let password = config("").password;
        assert_eq!(password.policy, PasswordPolicy::standard());
        assert_eq!(password.argon2, Argon2Params::default());
    }

    #[test]
    fn impossible_rules_are_refused_together() {
        let problems = problems(
            "[password]\nmin_length = 129\nmin_capitals = 100\nmin_digits = 100\nmax_lenght = 9\n",
        );
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems[0].contains(":2: password.min_length: must be a whole number from 1 to 128")
        );
        assert!(problems[1].contains(":4: password.min_digits: with min_capitals, more than"));
        assert!(problems[2].contains(":5: unknown key `max_lenght` in [password]"), "{problems:?}");
        assert!(problems[2].contains("hint: did you mean `min_length`?"), "{problems:?}");
    }

    /// R-B2: OWASP parameters or better.
    #[test]
    fn weak_hashes_are_refused() {
        for (memory, iterations, allowed) in [
            (19_456, 2, true),
            (47_104, 1, true),
            (7_168, 5, true),
            (19_456, 1, false),
            (64, 2, false),
        ] {
            let text =
                format!("[password.argon2]\nmemory_kib = {memory}\niterations = {iterations}\n");
            if allowed {
                assert_eq!(config(&text).password.argon2.memory_kib, memory);
            } else {
                assert!(problems(&text)[0].contains("weaker than OWASP's least"));
            }
        }
    }
}
