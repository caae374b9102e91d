//! `/api/v1/clock`: moves the clock of a demo or a test. Without a movable clock these calls do
//! not exist.

use axum::extract::State;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::AdminState;
use super::problem::{Json, Problem};

/// Moves the clock that the services read.
pub struct ClockControl {
    advance: Box<dyn Fn(SignedDuration) + Send + Sync>,
}

impl ClockControl {
    /// `advance` moves the clock by a step, back if it is negative.
    pub fn new(advance: impl Fn(SignedDuration) + Send + Sync + 'static) -> Self {
        Self { advance: Box::new(advance) }
    }
}

/// Exactly one of the two.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Move {
    /// By a duration: `4h`, `15m`, `-1d`.
    Advance(String),
    /// To a date (its midnight, UTC) or a time.
    Set(String),
}

pub(super) async fn show(State(state): State<AdminState>) -> axum::Json<Value> {
    axum::Json(json!({ "now": state.services.clock.now() }))
}

pub(super) async fn set(
    State(state): State<AdminState>,
    Json(movement): Json<Move>,
) -> Result<axum::Json<Value>, Problem> {
    let Some(control) = &state.clock else {
        return Err(Problem::not_found("this gateway has no movable clock"));
    };
    let now = state.services.clock.now();
    let step = match &movement {
        Move::Advance(text) => duration(text),
        Move::Set(text) => moment(text).map(|moment| moment.duration_since(now)),
    };
    let step = step.ok_or_else(|| {
        Problem::unprocessable(
            "advance takes a duration like 4h or 15m, set a date or time like 2018-11-19",
        )
    })?;
    (control.advance)(step);
    let now = state.services.clock.now();
    tracing::warn!(target: "passgate::admin", %now, "the clock was moved");
    Ok(axum::Json(json!({ "now": now })))
}

fn duration(text: &str) -> Option<SignedDuration> {
    let span: Span = text.trim().parse().ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}

fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let date: jiff::civil::Date = text.parse().ok()?;
        date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_moments_as_people_write_them() {
        assert_eq!(duration("4h"), Some(SignedDuration::from_hours(4)));
        assert_eq!(duration("1d 2h"), Some(SignedDuration::from_hours(26)));
        assert_eq!(duration("-15m"), Some(SignedDuration::from_mins(-15)));
        assert_eq!(duration("PT90S"), Some(SignedDuration::from_secs(90)));
        assert_eq!(duration("soon"), None);
        let midnight: Timestamp = "2018-11-19T00:00:00Z".parse().unwrap();
        assert_eq!(moment("2018-11-19"), Some(midnight));
        assert_eq!(moment("2018-11-18T19:00:00-05:00"), Some(midnight));
        assert_eq!(moment("tomorrow"), None);
    }
}
