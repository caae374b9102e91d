//! What the PBX's answer to a new PIN means.

use http::StatusCode;

use crate::ports::{PinWritten, Unavailable};
use crate::profile::WriteJudgement;

/// The profile's judgement first; where it has none, what HTTP promises. `None`: the server does
/// not know this way to write a PIN, so that nothing was written and another way may be tried.
///
/// Wherever it is not certain that nothing was written, the answer is [`PinWritten::Unclear`]: a
/// 5xx may come from a proxy before a PBX that went on working.
pub(super) fn of(judgement: WriteJudgement, status: StatusCode) -> Option<PinWritten> {
    let outage = || Unavailable::new("pbx", format!("answered {status} to a new PIN"));
    Some(match judgement {
        WriteJudgement::Done => PinWritten::Done,
        WriteJudgement::Later => PinWritten::Later,
        WriteJudgement::Refused => refused(status),
        WriteJudgement::Unknown => match status.as_u16() {
            404 | 405 | 501 => return None,
            // No access to this record, or too many requests: the PIN was not looked at.
            401 | 403 | 429 => PinWritten::NotAsked(outage()),
            // Request Timeout: whose patience ended, and when, is not said.
            408 => PinWritten::Unclear(outage()),
            400..=499 => refused(status),
            _ => PinWritten::Unclear(outage()),
        },
    })
}

/// "No" to this PIN.
pub(super) fn refused(status: StatusCode) -> PinWritten {
    PinWritten::Refused { detail: format!("answered {status}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(written: Option<PinWritten>) -> &'static str {
        match written {
            Some(PinWritten::Done) => "done",
            Some(PinWritten::Later) => "later",
            Some(PinWritten::Refused { .. }) => "refused",
            Some(PinWritten::NotAsked(_)) => "not asked",
            Some(PinWritten::Unclear(_)) => "unclear",
            None => "another way",
        }
    }

    /// R-B4: "refused" and "not asked" are said only where nothing can have been written.
    #[test]
    fn every_status_has_a_meaning() {
        for (statuses, expected) in [
            (&[200, 201, 202, 204, 302, 303, 408, 500, 502, 503, 504, 599][..], "unclear"),
            (&[400, 402, 406, 409, 413, 415, 422, 499], "refused"),
            (&[401, 403, 429], "not asked"),
            (&[404, 405, 501], "another way"),
        ] {
            for status in statuses {
                let status = StatusCode::from_u16(*status).unwrap();
                assert_eq!(name(of(WriteJudgement::Unknown, status)), expected, "{status}");
                // What the profile knows has the say, whatever the status.
                assert_eq!(name(of(WriteJudgement::Done, status)), "done");
                assert_eq!(name(of(WriteJudgement::Later, status)), "later");
                assert_eq!(name(of(WriteJudgement::Refused, status)), "refused");
            }
        }
    }
}
