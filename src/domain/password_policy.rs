//! The rules for portal passwords (R-B1).
