//! The one decision of Passgate: what becomes of a login, by account, phase and proof.
//!
//! Portal form, own login page and token endpoint all end here (R-A6): there is no second place
//! that could answer differently.

use super::account::AccountState;
use super::rollout::Phase;

/// What was found out about the secret that came with the login name.
///
/// For an account with a password the secret is checked against the hash and never leaves
/// Passgate; for one without, it is tried at the PBX, if it looks like a PIN at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Check {
    /// The portal password is right.
    PasswordRight,
    /// Neither the portal password nor anything the account ever used.
    PasswordWrong,
    /// The account's voicemail PIN or the password before the present one: an app not yet told.
    FormerSecret,
    /// The PBX accepted the PIN.
    PinAccepted,
    /// The PBX refused the PIN, or what was typed cannot be a PIN.
    PinRefused,
    /// The PBX wants more (its own MFA); proves nothing yet.
    PinChallenged,
    /// The one-time initial password is right, and its time is not over.
    InitialRight,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Log in at the PBX with the PIN from the vault, then open a full session.
    Replay,
    /// Open a full session on the PBX session that the PIN just opened; `notice` asks for a
    /// portal password.
    Open {
        /// Whether the warn notice is shown.
        notice: bool,
    },
    /// Open a session that reaches only the set-password page (R-A3).
    Hold,
    /// The same without a PBX session: nobody has told a PIN (R-E1).
    Replace,
    /// The PIN is right, but its time is over (R-A4).
    TooLate,
    /// The PBX asks its second question; a pending session answers it, then the decision is
    /// taken again with [`Check::PinAccepted`].
    Challenge,
    /// Wrong, and counted.
    Refuse,
    /// Wrong, but known from before: counted once per window (R-C5).
    RefuseFormer,
    /// Right or wrong does not matter: the account is switched off. Answered like a wrong secret.
    RefuseDisabled,
}

/// Decides a login. Total over its inputs; combinations that cannot arise (a password that is
/// right for an account without one) are refused.
pub fn login_decision(account: AccountState, check: Check, phase: Phase) -> Decision {
    use AccountState::{Disabled, Password, PinOnly};
    match (account, check) {
        (Disabled, _) => Decision::RefuseDisabled,
        (Password, Check::PasswordRight) => Decision::Replay,
        // In every phase: it is no PIN, and leads to nothing but a portal password (R-E1).
        (Password | PinOnly, Check::InitialRight) => Decision::Replace,
        (Password | PinOnly, Check::FormerSecret) => Decision::RefuseFormer,
        // R-A5: once there is a password, no answer of the PBX opens the portal.
        (Password, _) => Decision::Refuse,
        (PinOnly, Check::PinAccepted) => match phase {
            Phase::Quiet => Decision::Open { notice: false },
            Phase::Warn => Decision::Open { notice: true },
            Phase::Force => Decision::Hold,
            Phase::Reject => Decision::TooLate,
        },
        (PinOnly, Check::PinChallenged) if phase == Phase::Reject => Decision::TooLate,
        (PinOnly, Check::PinChallenged) => Decision::Challenge,
        (PinOnly, Check::PinRefused | Check::PasswordRight | Check::PasswordWrong) => {
            Decision::Refuse
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [AccountState; 3] =
        [AccountState::PinOnly, AccountState::Password, AccountState::Disabled];
    const CHECKS: [Check; 7] = [
        Check::PasswordRight,
        Check::PasswordWrong,
        Check::FormerSecret,
        Check::PinAccepted,
        Check::PinRefused,
        Check::PinChallenged,
        Check::InitialRight,
    ];
    const PHASES: [Phase; 4] = [Phase::Quiet, Phase::Warn, Phase::Force, Phase::Reject];

    /// R-A5, R-A6: over every combination, a door opens only where a promise says so.
    #[test]
    fn doors_open_only_where_promised() {
        for state in STATES {
            for check in CHECKS {
                for phase in PHASES {
                    let decision = login_decision(state, check, phase);
                    let expected = match (state, check, phase) {
                        (AccountState::Disabled, _, _) => Decision::RefuseDisabled,
                        (AccountState::Password, Check::PasswordRight, _) => Decision::Replay,
                        (_, Check::FormerSecret, _) => Decision::RefuseFormer,
                        (_, Check::InitialRight, _) => Decision::Replace,
                        (AccountState::PinOnly, Check::PinAccepted, Phase::Quiet) => {
                            Decision::Open { notice: false }
                        }
                        (AccountState::PinOnly, Check::PinAccepted, Phase::Warn) => {
                            Decision::Open { notice: true }
                        }
                        (AccountState::PinOnly, Check::PinAccepted, Phase::Force) => Decision::Hold,
                        (
                            AccountState::PinOnly,
                            Check::PinAccepted | Check::PinChallenged,
                            Phase::Reject,
                        ) => Decision::TooLate,
                        (AccountState::PinOnly, Check::PinChallenged, _) => Decision::Challenge,
                        _ => Decision::Refuse,
                    };
                    assert_eq!(decision, expected, "{state:?} {check:?} {phase:?}");
                }
            }
        }
    }

    /// R-A5: with a password set, nothing the PBX says about a PIN opens anything.
    #[test]
    fn a_pin_never_opens_an_account_with_a_password() {
        for phase in PHASES {
            for check in [Check::PinAccepted, Check::PinChallenged, Check::PinRefused] {
                let decision = login_decision(AccountState::Password, check, phase);
                assert_eq!(decision, Decision::Refuse, "{check:?} {phase:?}");
            }
        }
    }

    /// R-E1: an initial password never opens the portal, whatever the account and the phase, and
    /// nothing for an account that is switched off.
    #[test]
    fn an_initial_password_leads_only_to_its_replacement() {
        for phase in PHASES {
            let decided = STATES.map(|state| login_decision(state, Check::InitialRight, phase));
            let expected = [Decision::Replace, Decision::Replace, Decision::RefuseDisabled];
            assert_eq!(decided, expected, "{phase:?}");
        }
    }
}
