//! Default deny: what a route allows to somebody of a given standing. One table, no exceptions
//! elsewhere.

use super::route::Route;
use crate::domain::session::Standing;

/// What a request of the API shows besides a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Nothing that could be a credential.
    Nothing,
    /// A token of ours or one that we know, or a login that was judged before: what its family
    /// reaches.
    Family(Standing),
    /// The same, beside the full session of another account.
    FamilyOfOther,
    /// A token of ours or one that we knew, which does not work (any more).
    BadToken,
    /// A bearer token that we do not know.
    Stranger,
    /// Login name and secret (HTTP Basic).
    Login,
}

/// What happens with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is one of our own pages.
    Own,
    /// It is a login.
    LogIn,
    /// It asks for tokens, or ends some.
    Token,
    /// It is a sign-out.
    SignOut,
    /// It goes to the PBX, as nobody in particular or with the session.
    Forward,
    /// It goes to the PBX if its bearer token is the session's own (R-F5).
    ForwardApi,
    /// It goes to the PBX as an answer to its second question.
    ForwardChallenge,
    /// Log in first.
    ToLogin,
    /// Set a portal password first (R-A3).
    ToSetPassword,
    /// Tell us the current PIN first (R-B6).
    ToCurrentPin,
    /// Answer the PBX's second question first.
    ToChallenge,
    /// Nobody may.
    Denied,
    /// What of the API a session does not reach: refused in JSON.
    ApiDenied,
    /// It goes to the PBX by what its family shows there (R-F3).
    ForwardFamily,
    /// It goes to the PBX if its token is one from before Passgate (R-F6).
    ForwardLegacy,
    /// It is a login (R-F4).
    LogInApi,
    /// Obtained with a PIN, whose time is over: 401 (R-A6).
    PinTooLate,
    /// Its token does not work: 401.
    BadToken,
    /// It shows nothing: 401.
    Unauthorised,
}

/// Decides by route and standing (`None` is a visitor without a session); on the API also by what
/// is shown there.
pub fn access(route: &Route<'_>, standing: Option<Standing>, shown: Shown) -> Access {
    match route {
        Route::OwnPage | Route::ChangePassword => Access::Own,
        Route::Login(_) => Access::LogIn,
        Route::SignOut => Access::SignOut,
        // Its scripts err: polls of a session that is held back are refused, but it lives, and its
        // user may be setting a password in another window (R-A3).
        Route::SignOutByScript => match standing {
            Some(Standing::Held) => Access::ToSetPassword,
            Some(Standing::PinNeeded) => Access::ToCurrentPin,
            _ => Access::SignOut,
        },
        Route::LoginPage | Route::Public | Route::PreLogin => Access::Forward,
        Route::Denied => Access::Denied,
        Route::Token(_) => Access::Token,
        Route::Api => api(standing, shown),
        Route::Challenge if standing == Some(Standing::Challenge) => Access::ForwardChallenge,
        Route::Challenge | Route::Portal => match standing {
            Some(Standing::Full { .. }) => Access::Forward,
            Some(Standing::Held) => Access::ToSetPassword,
            Some(Standing::PinNeeded) => Access::ToCurrentPin,
            Some(Standing::Challenge) => Access::ToChallenge,
            Some(Standing::Ended) | None => Access::ToLogin,
        },
    }
}

/// The API takes a token before a session: it says of itself what it may.
fn api(standing: Option<Standing>, shown: Shown) -> Access {
    match (shown, standing) {
        (Shown::Family(Standing::Full { .. }), _) => Access::ForwardFamily,
        (Shown::Family(Standing::Held), _) => Access::PinTooLate,
        (Shown::Family(_) | Shown::BadToken, _) => Access::BadToken,
        (Shown::FamilyOfOther, _) => Access::ApiDenied,
        (Shown::Login, _) => Access::LogInApi,
        (Shown::Stranger, Some(Standing::Full { .. })) => Access::ForwardApi,
        (Shown::Stranger, None | Some(Standing::Ended)) => Access::ForwardLegacy,
        (Shown::Nothing, None | Some(Standing::Ended)) => Access::Unauthorised,
        (Shown::Nothing | Shown::Stranger, Some(_)) => Access::ApiDenied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: [Shown; 8] = [
        Shown::Nothing,
        Shown::Family(Standing::Full { notice: false }),
        Shown::Family(Standing::Held),
        Shown::Family(Standing::Ended),
        Shown::FamilyOfOther,
        Shown::BadToken,
        Shown::Stranger,
        Shown::Login,
    ];

    /// R-F3, R-F5, R-A6: over every combination, the API is reached by a family that reaches
    /// everything, or by a full session with a token of the PBX; and what is judged first is a login
    /// or a token from before Passgate, without a session.
    #[test]
    fn the_api_is_reached_by_tokens() {
        for standing in STANDINGS {
            for shown in SHOWN {
                let reached = access(&Route::Api, standing, shown);
                let full = matches!(standing, Some(Standing::Full { .. }));
                let nobody = matches!(standing, None | Some(Standing::Ended));
                let expected = match shown {
                    Shown::Family(Standing::Full { .. }) => Access::ForwardFamily,
                    Shown::Login => Access::LogInApi,
                    Shown::Stranger if full => Access::ForwardApi,
                    Shown::Stranger if nobody => Access::ForwardLegacy,
                    Shown::Nothing if nobody => Access::Unauthorised,
                    Shown::Family(Standing::Held) => Access::PinTooLate,
                    Shown::Family(_) | Shown::BadToken => Access::BadToken,
                    _ => Access::ApiDenied,
                };
                assert_eq!(reached, expected, "{standing:?} {shown:?}");
            }
        }
    }

    /// A token is no session: on every other route nothing that is shown changes anything.
    #[test]
    fn tokens_count_on_the_api_only() {
        for standing in STANDINGS {
            for route in [Route::Portal, Route::Public, Route::Challenge, Route::SignOut] {
                let expected = access(&route, standing, Shown::Nothing);
                for shown in SHOWN {
                    assert_eq!(access(&route, standing, shown), expected, "{route:?} {shown:?}");
                }
            }
        }
    }

    const STANDINGS: [Option<Standing>; 6] = [
        None,
        Some(Standing::Ended),
        Some(Standing::Held),
        Some(Standing::Challenge),
        Some(Standing::PinNeeded),
        Some(Standing::Full { notice: true }),
    ];

    /// R-A6: the portal is reached with a full session and with nothing less.
    #[test]
    fn only_a_full_session_reaches_the_portal() {
        for standing in STANDINGS {
            let full = matches!(standing, Some(Standing::Full { .. }));
            let access = access(&Route::Portal, standing, Shown::Nothing);
            assert_eq!(access == Access::Forward, full, "{standing:?}");
        }
    }

    /// The PBX's second question is reached by those whom it was asked, and by the signed in.
    #[test]
    fn the_challenge_is_for_those_who_were_challenged() {
        for standing in STANDINGS {
            let expected = match standing {
                Some(Standing::Challenge) => Access::ForwardChallenge,
                Some(Standing::Full { .. }) => Access::Forward,
                Some(Standing::Held) => Access::ToSetPassword,
                Some(Standing::PinNeeded) => Access::ToCurrentPin,
                _ => Access::ToLogin,
            };
            assert_eq!(
                access(&Route::Challenge, standing, Shown::Nothing),
                expected,
                "{standing:?}"
            );
        }
    }

    /// R-A3, R-C6: everybody can sign out; a script cannot for who is held back.
    #[test]
    fn scripts_do_not_sign_out_who_is_held_back() {
        for standing in STANDINGS {
            assert_eq!(access(&Route::SignOut, standing, Shown::Nothing), Access::SignOut);
            let expected = match standing {
                Some(Standing::Held) => Access::ToSetPassword,
                Some(Standing::PinNeeded) => Access::ToCurrentPin,
                _ => Access::SignOut,
            };
            assert_eq!(
                access(&Route::SignOutByScript, standing, Shown::Nothing),
                expected,
                "{standing:?}"
            );
        }
    }

    /// Nobody, however signed in, reaches the portal's own password code.
    #[test]
    fn denied_is_for_everybody() {
        for standing in STANDINGS {
            assert_eq!(access(&Route::Denied, standing, Shown::Nothing), Access::Denied);
        }
    }
}
