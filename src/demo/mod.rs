//! What `passgate demo` shows on one machine: an example legacy portal and the pages around it.

pub mod mailbox;
pub mod people;
pub mod portal;
pub mod start_page;
