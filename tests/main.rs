//! Black-box tests: the real binary as a process, in front of the example legacy portal, over real
//! TLS. One file per behaviour; the vocabulary is in `support/`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(missing_docs, reason = "the names of tests say what they show")]

mod support;

mod admin;
mod admin_mail;
mod api_calls;
mod api_others;
mod architecture;
mod bounces;
mod brands;
mod browser;
mod browser_axe;
mod browser_demo;
mod browser_flows;
mod browser_forms;
mod browser_links;
mod browser_passwords;
mod browser_rollout;
mod browser_session;
mod by_link;
mod bypass;
mod campaigns;
mod clients;
mod cors;
mod delivery;
mod force;
mod forwarding;
mod framing;
mod initial_password;
mod jwt;
mod kept_form;
mod kill;
mod limits;
mod links;
mod lockout;
mod login;
mod login_links;
mod machine_clients;
mod mail;
mod mail_headers;
mod mail_server;
mod notice;
mod oauth_endpoints;
mod outbox;
mod page_weight;
mod password;
mod pbx_access;
mod portal_pages;
mod public_forms;
mod redaction;
mod reject;
mod reminders;
mod reports;
mod secrets;
mod self_service;
mod session_end;
mod sessions;
mod sign_out;
mod spanish;
mod streaming;
mod tokens;
mod tokens_matrix;
mod write_back;
