//! Tests over real sockets: a gateway with a minimal pipeline, a real upstream, real clients.

mod framing;
mod h2;
mod lifecycle;
mod limits;
mod serving;
mod support;
