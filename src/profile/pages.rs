//! Where in the portal's own pages Passgate adds something. All selectors are CSS, as far as a
//! streaming rewriter understands it (no sibling combinators).

/// Places in the portal's pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalPages {
    /// Path and query of the page after login.
    pub home: String,
    /// On the login page: the element **after** which the links (forgot password …) are put.
    pub login_links: String,
    /// On the login page: the element **before** which the message of a failed login is put.
    pub login_message: String,
    /// On the login page: the input that keeps the typed login name.
    pub username_input: String,
    /// On every page: the element at whose **beginning** the notice is put.
    pub notice: String,
    /// On every page: the element at whose **end** the link to account security is put, in a list as
    /// an item; `None`: no such link.
    pub security_link: Option<String>,
}
