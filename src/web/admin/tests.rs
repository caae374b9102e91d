//! The router over the real store: accounts, sessions and locks live in SQLite.

mod accounts;
mod campaigns;
mod doors;
mod mails;
