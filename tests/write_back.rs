//! A new PIN is written to the PBX (R-B4): what is promised when the PBX answers late, wrong, or
//! never, and what the next login finds.
