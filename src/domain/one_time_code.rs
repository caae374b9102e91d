//! One-time codes: the secret part of a link in an e-mail.
//!
//! 256 random bits, known to the store by their SHA-256 only, for one purpose and one account
//! (OWASP forgot-password cheat sheet; ASVS 5.0 V6.4). A code is not marked when it is used. What
//! it is used for changes the account, and the code is bound to what the account was before: after
//! a new password, or another address, no earlier code fits any more. So exactly one of any number
//! of parallel uses wins, by the same comparison that guards every change of a credential.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::account::{Account, AccountId};

/// What a code is good for. A code for one purpose is unknown to every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A new portal password (R-D1, R-A4).
    Reset,
    /// The first portal password and voicemail PIN of a new user (R-D4).
    Welcome,
    /// The address that the mail went to becomes the address on file.
    ConfirmEmail,
}

/// The code itself. Its text stands in a link and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct OneTimeCode(pub [u8; 32]);

impl OneTimeCode {
    /// As it stands in a link.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads what stands in a link; `None` for what cannot be a code.
    pub fn parse(text: &str) -> Option<Self> {
        // Mail programs like to keep the full stop or the blank beside a link.
        let text = text.trim().trim_end_matches('.');
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// What the store knows of it.
    pub fn hash(&self) -> CodeHash {
        CodeHash(Sha256::digest(self.0).into())
    }
}

impl std::fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneTimeCode(…)")
    }
}

/// SHA-256 of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodeHash(pub [u8; 32]);

/// A code as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCode {
    /// SHA-256 of the code.
    pub hash: CodeHash,
    /// What it is good for.
    pub purpose: Purpose,
    /// Whose.
    pub account: AccountId,
    /// [`Account::epoch`] when it was made: a new password moves it on.
    pub epoch: u64,
    /// The address on file when it was made.
    pub on_file: Option<String>,
    /// Where the mail with the link went.
    pub sent_to: String,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why a code does not work (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeProblem {
    /// Nobody was given this code for this purpose, or the account is gone or switched off.
    Unknown,
    /// It was used, or the password or the address was changed since.
    Spent,
    /// Its time is over.
    Expired,
}

impl IssuedCode {
    /// A code for `account`, from now on.
    pub fn new(
        code: &OneTimeCode,
        purpose: Purpose,
        account: &Account,
        sent_to: &str,
        life: Duration,
        now: Timestamp,
    ) -> Self {
        Self {
            hash: code.hash(),
            purpose,
            account: account.id,
            epoch: account.epoch,
            on_file: account.email.clone(),
            sent_to: sent_to.to_owned(),
            issued_at: now,
            expires_at: now + life,
        }
    }

    /// Whether it works for `purpose` on the account as it is now.
    pub fn check(
        &self,
        purpose: Purpose,
        account: &Account,
        now: Timestamp,
    ) -> Result<(), CodeProblem> {
        if self.purpose != purpose || self.account != account.id || account.disabled {
            return Err(CodeProblem::Unknown);
        }
        if self.epoch != account.epoch || self.on_file != account.email {
            return Err(CodeProblem::Spent);
        }
        // A clock that was far ahead when it was made, and was put right since, gives no long life.
        let from_the_future = now + self.expires_at.duration_since(self.issued_at) < self.issued_at;
        if now >= self.expires_at || from_the_future {
            return Err(CodeProblem::Expired);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use uuid::Uuid;

    use super::*;
    use crate::domain::account::{Role, StoredPassword};
    use crate::domain::login_name::LoginName;

    const HOUR: Duration = Duration::from_secs(3600);

    fn start() -> Timestamp {
        Timestamp::from_second(1_542_000_000).unwrap()
    }

    fn account() -> Account {
        Account {
            id: AccountId(Uuid::from_u128(1)),
            login: LoginName::parse("1001@abc.example").unwrap(),
            email: Some("ada@example.com".into()),
            name: "Ada".into(),
            role: Role::User,
            disabled: false,
            password: None,
            previous_password: None,
            initial_password: None,
            pin: None,
            pin_refused: false,
            bounced: None,
            epoch: 7,
            last_login_at: None,
            created_at: start(),
        }
    }

    fn issued(purpose: Purpose) -> IssuedCode {
        let code = OneTimeCode([7; 32]);
        IssuedCode::new(&code, purpose, &account(), "ada@example.com", HOUR, start())
    }

    const PURPOSES: [Purpose; 3] = [Purpose::Reset, Purpose::Welcome, Purpose::ConfirmEmail];

    /// R-D1: a code works for what it was made for, and is unknown for all else.
    #[test]
    fn a_code_has_one_purpose() {
        for made_for in PURPOSES {
            for used_for in PURPOSES {
                let verdict = issued(made_for).check(used_for, &account(), start());
                let expected =
                    if made_for == used_for { Ok(()) } else { Err(CodeProblem::Unknown) };
                assert_eq!(verdict, expected, "{made_for:?} {used_for:?}");
            }
        }
    }

    /// R-D1: it works until its hour is over, not a moment longer.
    #[test]
    fn a_code_runs_out() {
        let code = issued(Purpose::Reset);
        let verdict = |now| code.check(Purpose::Reset, &account(), now);
        let end = start() + HOUR;
        assert_eq!(verdict(end - SignedDuration::from_micros(1)), Ok(()));
        assert_eq!(verdict(end), Err(CodeProblem::Expired));
        assert_eq!(verdict(end + HOUR), Err(CodeProblem::Expired));
        // A clock that was put back does not shut the user out; nor does one that was a day ahead
        // leave a link that works for a day.
        assert_eq!(verdict(start() - HOUR), Ok(()));
        assert_eq!(verdict(start() - 24 * HOUR), Err(CodeProblem::Expired));
    }

    /// R-D1, R-C8: a new password, or another address on file, spends it; what else changes does
    /// not.
    #[test]
    fn a_change_of_the_account_spends_a_code() {
        let code = issued(Purpose::Reset);
        let verdict = |account: &Account| code.check(Purpose::Reset, account, start());
        for (email, expected) in [
            (Some("ada@example.com"), Ok(())),
            (Some("Ada@example.com"), Err(CodeProblem::Spent)),
            (Some("new@example.com"), Err(CodeProblem::Spent)),
            (None, Err(CodeProblem::Spent)),
        ] {
            let account = Account { email: email.map(str::to_owned), ..account() };
            assert_eq!(verdict(&account), expected, "{email:?}");
        }
        for (epoch, expected) in
            [(6, Err(CodeProblem::Spent)), (7, Ok(())), (8, Err(CodeProblem::Spent))]
        {
            assert_eq!(verdict(&Account { epoch, ..account() }), expected, "{epoch}");
        }
        let logged_in = Account {
            name: "Ada Lovelace".into(),
            role: Role::Manager,
            password: Some(StoredPassword { phc: "rehashed".into(), set_at: start() }),
            pin_refused: true,
            bounced: None,
            last_login_at: Some(start()),
            ..account()
        };
        assert_eq!(verdict(&logged_in), Ok(()));
    }

    /// Security: it is no use to another account, nor to one that is switched off; and does not
    /// tell that there is something to find.
    #[test]
    fn a_code_is_unknown_to_others() {
        let code = issued(Purpose::Reset);
        for now in [start(), start() + HOUR] {
            let other = Account { id: AccountId(Uuid::from_u128(2)), ..account() };
            let disabled = Account { disabled: true, ..account() };
            for account in [other, disabled] {
                let verdict = code.check(Purpose::Reset, &account, now);
                assert_eq!(verdict, Err(CodeProblem::Unknown));
            }
            let account = Account { epoch: 8, ..account() };
            let verdict = code.check(Purpose::Welcome, &account, now);
            assert_eq!(verdict, Err(CodeProblem::Unknown));
        }
    }

    /// Who used a link long ago is told that it was used, not that it ran out.
    #[test]
    fn spent_outranks_expired() {
        let account = Account { epoch: 8, ..account() };
        let verdict = issued(Purpose::Reset).check(Purpose::Reset, &account, start() + HOUR);
        assert_eq!(verdict, Err(CodeProblem::Spent));
    }

    /// What stands in a link is the code, also with what mail programs add to it; nothing else is.
    #[test]
    fn a_code_is_read_back_from_its_link() {
        for byte in [0, 7, 0x3e, 0x3f, 0xfb, 0xff] {
            let code = OneTimeCode([byte; 32]);
            let text = code.text();
            assert_eq!(text.len(), 43);
            let in_links = |one: char| one.is_ascii_alphanumeric() || "-_".contains(one);
            assert!(text.chars().all(in_links), "{text}");
            for written in [text.clone(), format!("{text}."), format!(" {text}\r\n")] {
                assert_eq!(OneTimeCode::parse(&written), Some(code.clone()), "{written:?}");
            }
            let (short, long) = (text[..42].to_owned(), format!("{text}A"));
            let (padded, inside) = (format!("{text}="), format!("{}.{}", &text[..9], &text[9..]));
            for wrong in [short, long, padded, inside] {
                assert_eq!(OneTimeCode::parse(&wrong), None, "{wrong:?}");
            }
        }
        for wrong in ["", ".", "code", &"+".repeat(43), &"é".repeat(43), &"A".repeat(100_000)] {
            assert_eq!(OneTimeCode::parse(wrong), None);
        }
    }

    /// Security: the store knows a code by its SHA-256 (FIPS 180-4), and nothing prints it.
    #[test]
    fn a_code_is_known_by_its_hash_only() {
        let code = OneTimeCode([0; 32]);
        let hash = "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925";
        let bytes: String = code.hash().0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(bytes, hash);
        let code = OneTimeCode([0xAB; 32]);
        let account = account();
        let issued = IssuedCode::new(&code, Purpose::Reset, &account, "a@b.example", HOUR, start());
        let printed = format!("{code:?} {code:#?} {issued:?}");
        for secret in [code.text().as_str(), "171, 171", "abab"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
