//! The profiles that are built in.

const PROFILES: [(&str, &str); 3] = [
    ("netsapiens", include_str!("../../profiles/netsapiens.toml")),
    ("fusionpbx", include_str!("../../profiles/fusionpbx.toml")),
    ("generic", include_str!("../../profiles/generic.toml")),
];

pub(super) fn text(name: &str) -> Option<&'static str> {
    PROFILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, _)| *name)
}
