//! The rules for voicemail PINs (R-B3).
