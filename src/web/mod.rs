//! Own pages and the administration, as axum routers.

pub mod admin;
