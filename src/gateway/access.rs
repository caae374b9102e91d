//! Default deny: what a route allows to somebody of a given standing. One table, no exceptions
//! elsewhere.

use super::route::Route;
use crate::domain::session::Standing;

/// What happens with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is one of our own pages.
    Own,
    /// It is a login.
    LogIn,
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
    /// API paths without a session, and all token endpoints: refused in JSON.
    ApiDenied,
}

/// Decides by route and standing; `None` is a visitor without a session.
pub fn access(route: &Route<'_>, standing: Option<Standing>) -> Access {
    let full = matches!(standing, Some(Standing::Full { .. }));
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
        Route::Token(_) => Access::ApiDenied,
        Route::Api if full => Access::ForwardApi,
        Route::Api => Access::ApiDenied,
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

#[cfg(test)]
mod tests {
    use super::*;

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
            for route in [Route::Portal, Route::Api] {
                let reached =
                    matches!(access(&route, standing), Access::Forward | Access::ForwardApi);
                assert_eq!(reached, full, "{route:?} {standing:?}");
            }
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
            assert_eq!(access(&Route::Challenge, standing), expected, "{standing:?}");
        }
    }

    /// R-A3, R-C6: everybody can sign out; a script cannot for who is held back.
    #[test]
    fn scripts_do_not_sign_out_who_is_held_back() {
        for standing in STANDINGS {
            assert_eq!(access(&Route::SignOut, standing), Access::SignOut);
            let expected = match standing {
                Some(Standing::Held) => Access::ToSetPassword,
                Some(Standing::PinNeeded) => Access::ToCurrentPin,
                _ => Access::SignOut,
            };
            assert_eq!(access(&Route::SignOutByScript, standing), expected, "{standing:?}");
        }
    }

    /// Nobody, however signed in, reaches the portal's own password code.
    #[test]
    fn denied_is_for_everybody() {
        for standing in STANDINGS {
            assert_eq!(access(&Route::Denied, standing), Access::Denied);
        }
    }
}
