//! Pure rules. Nothing here waits, reads a clock, draws a random number or knows a protocol:
//! `now` and randomness are passed in, so every rule is a table that a test can walk.

pub mod access_token;
pub mod account;
pub mod api_client;
pub mod campaign;
pub mod email_address;
pub mod grant;
pub mod initial_password;
pub mod jar;
pub mod kept_form;
pub mod language;
pub mod lockout;
pub mod login_decision;
pub mod login_name;
pub mod mail;
pub mod next_path;
pub mod one_time_code;
pub mod password_policy;
pub mod pin_journal;
pub mod pin_policy;
pub mod reminders;
pub mod rollout;
pub mod secret;
pub mod session;
