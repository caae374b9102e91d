//! The users of the example portal and their voicemail PINs.
//!
//! The PINs stand in the clear, as they do in the portals this one imitates.

use parking_lot::RwLock;

/// A tenant whose users log in as `1001@abc-company.11111.service`.
pub const ABC_COMPANY: &str = "abc-company.11111.service";
/// A tenant whose users log in as `201-wickedsprockets`.
pub const WICKED_SPROCKETS: &str = "wickedsprockets";
/// The second factor that [`PortalUser::mfa`] users are asked for.
pub const MFA_CODE: &str = "246810";

/// Login name and PIN of the user by whom programs use the API: sees and changes everybody.
pub const API_OPERATOR: (&str, &str) = ("9001@11111.service", "730194");
/// Id and secret of the client that may ask for tokens.
pub const API_CLIENT: (&str, &str) = ("officevoice-app", "0ff1ce-v01ce-5ecret");

/// One subscriber of the PBX.
#[derive(Debug, Clone)]
pub struct PortalUser {
    /// The extension: digits.
    pub extension: String,
    /// The tenant ("domain").
    pub tenant: String,
    /// The voicemail PIN, which is also what logs in. Empty: nothing logs in.
    pub pin: String,
    /// First and last name.
    pub display_name: String,
    /// The address on file.
    pub email: Option<String>,
    /// `Basic User`, `Office Manager`, `Super User` or `No Portal`.
    pub scope: String,
    /// `system-…` for queues, attendants and the like; empty for people.
    pub srv_code: String,
    /// Whether a login is followed by the question for [`MFA_CODE`].
    pub mfa: bool,
}

impl PortalUser {
    /// A person with the scope `Basic User`, without an e-mail address.
    pub fn new(extension: &str, tenant: &str, pin: &str, display_name: &str) -> Self {
        Self {
            extension: extension.into(),
            tenant: tenant.into(),
            pin: pin.into(),
            display_name: display_name.into(),
            email: None,
            scope: "Basic User".into(),
            srv_code: String::new(),
            mfa: false,
        }
    }

    /// The login name in the first spelling: `extension@tenant`.
    pub fn login(&self) -> String {
        format!("{}@{}", self.extension, self.tenant)
    }

    /// The login name in the second spelling: `extension-tenant`.
    pub fn dashed_login(&self) -> String {
        format!("{}-{}", self.extension, self.tenant)
    }

    /// The first name, for greetings.
    pub fn first_name(&self) -> &str {
        self.display_name.split_once(' ').map_or(&self.display_name, |(first, _)| first)
    }

    /// What follows the first name.
    pub fn last_name(&self) -> &str {
        self.display_name.split_once(' ').map_or("", |(_, last)| last)
    }

    /// Whether the user sees and changes others of the tenant.
    pub fn manages(&self, tenant: &str) -> bool {
        match self.scope.as_str() {
            "Super User" => true,
            "Office Manager" => self.tenant == tenant,
            _ => false,
        }
    }

    fn email(self, address: &str) -> Self {
        Self { email: Some(address.into()), ..self }
    }

    fn scope(self, scope: &str) -> Self {
        Self { scope: scope.into(), ..self }
    }

    fn system(self, srv_code: &str) -> Self {
        Self { srv_code: srv_code.into(), ..self }
    }
}

/// The people of the demo: two tenants, the same extension in both, a shared address, a missing
/// one, a second factor, a manager, a telephone in the lobby and an attendant that is nobody.
pub fn demo_users() -> Vec<PortalUser> {
    let abc = |extension, pin, name| PortalUser::new(extension, ABC_COMPANY, pin, name);
    let wicked = |extension, pin, name| PortalUser::new(extension, WICKED_SPROCKETS, pin, name);
    vec![
        abc("1000", "603817", "Olivia Brandt")
            .email("olivia@abc-company.example")
            .scope("Office Manager"),
        abc("1001", "48271", "Alice Marsh").email("alice@abc-company.example"),
        abc("1002", "7305", "Ben Ortega").email("ben@abc-company.example"),
        abc("1003", "91463", "Carla Dunn"),
        abc("1004", "562904", "David Kim").email("david@abc-company.example"),
        abc("1005", "8164", "Erin Walsh").email("front-desk@abc-company.example"),
        abc("1006", "39027", "Frank Moreau").email("front-desk@abc-company.example"),
        PortalUser {
            mfa: true,
            ..abc("1007", "275093", "Grace Liu").email("grace@abc-company.example")
        },
        abc("201", "6048", "Hugo Sanders").email("hugo@abc-company.example"),
        abc("190", "4719", "Lobby Telephone").scope("No Portal"),
        abc("500", "", "Auto Attendant").system("system-aa"),
        wicked("200", "840362", "Nadia Petrov")
            .email("nadia@wickedsprockets.example")
            .scope("Office Manager"),
        wicked("201", "9372", "Ida Novak").email("ida@wickedsprockets.example"),
        wicked("202", "15830", "Jonas Wick").email("jonas@wickedsprockets.example"),
        PortalUser::new("9001", "11111.service", API_OPERATOR.1, "API Operator")
            .scope("Super User"),
    ]
}

/// The subscribers, changeable while the portal runs.
pub(super) struct Directory(RwLock<Vec<PortalUser>>);

impl Directory {
    pub(super) fn new(users: &[PortalUser]) -> Self {
        Self(RwLock::new(users.to_vec()))
    }

    /// The user with this login name, in either spelling; case and surrounding space are ignored.
    pub(super) fn find(&self, login: &str) -> Option<PortalUser> {
        self.0.read().iter().find(|user| is_login_of(user, login)).cloned()
    }

    pub(super) fn change(&self, login: &str, change: impl FnOnce(&mut PortalUser)) -> bool {
        let mut users = self.0.write();
        let user = users.iter_mut().find(|user| is_login_of(user, login));
        user.map(change).is_some()
    }

    /// All users of `tenant`, or of every tenant.
    pub(super) fn list(&self, tenant: Option<&str>) -> Vec<PortalUser> {
        let users = self.0.read();
        let wanted = users.iter().filter(|user| tenant.is_none_or(|tenant| user.tenant == tenant));
        wanted.cloned().collect()
    }

    pub(super) fn reset(&self, users: &[PortalUser]) {
        *self.0.write() = users.to_vec();
    }
}

fn is_login_of(user: &PortalUser, login: &str) -> bool {
    let login = login.trim();
    login.eq_ignore_ascii_case(&user.login()) || login.eq_ignore_ascii_case(&user.dashed_login())
}
