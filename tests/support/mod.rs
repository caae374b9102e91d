//! The vocabulary of the tests: `Pbx`, `Gateway`, `Client`. Every address is ephemeral, every
//! directory temporary; time is moved, never waited for.

mod admin;
mod browser;
mod certificates;
mod client;
mod gateway;
mod pbx;
mod raw;
pub mod shapes;

pub use browser::{Browser, Scheme, Screen, THEMES};
pub use client::{Answer, Client};
pub use gateway::{Gateway, Settings};
pub use pbx::{PHASES, Pbx, Person, alice, at};
pub use raw::{Raw, RawAnswer, tls};
