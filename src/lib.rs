//! Passgate: an authenticating reverse proxy in front of a PBX web portal and API.
//!
//! The binary (`passgate`) is a thin command line over this library. `ARCHITECTURE.md` shows how
//! the rooms below relate; `tests/architecture.rs` keeps the arrows between them.
#![forbid(unsafe_code)]

pub mod adapters;
pub mod app;
pub mod cli;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod domain;
pub mod flows;
pub mod gateway;
pub mod portal;
pub mod ports;
pub mod profile;
pub mod telemetry;
pub mod web;
