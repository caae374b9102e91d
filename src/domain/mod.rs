//! Pure rules. Nothing here waits, reads a clock, draws a random number or knows a protocol:
//! `now` and randomness are passed in, so every rule is a table that a test can walk.

pub mod account;
pub mod jar;
pub mod lockout;
pub mod login_decision;
pub mod login_name;
pub mod next_path;
pub mod password_policy;
pub mod pin_policy;
pub mod rollout;
pub mod secret;
pub mod session;
