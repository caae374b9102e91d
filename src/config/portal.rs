//! `[portal]`: what kind of portal the PBX has, and how we speak to it for ourselves.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::problems::Place;
use super::rollout::RolloutConfig;
use super::section::Section;
use super::source::closest;
use super::value::{DAY, MINUTE, Value, Wrong};
use crate::domain::secret::Secret;
use crate::profile::Profile;

/// `[portal]`.
#[derive(Debug, Clone)]
pub struct PortalConfig {
    /// The name of a built-in profile, or the absolute path of a profile file.
    pub profile: String,
    /// What it says.
    pub checked_profile: Arc<Profile>,
    /// `[portal.admin]`: how Passgate itself speaks to the PBX.
    pub admin: AdminAccess,
    /// `[portal.directory]`: where accounts come from.
    pub directory: DirectoryConfig,
}

/// `[portal.admin]`.
#[derive(Debug, Clone)]
pub enum AdminAccess {
    /// Only with users' own sessions and tokens.
    None,
    /// The OAuth password grant of the PBX.
    OAuth {
        /// OAuth client.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
        /// Administrator's login name.
        user: String,
        /// Their password.
        password: Secret,
    },
    /// A token that does not expire.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// HTTP Basic.
    Basic {
        /// Administrator's login name.
        user: String,
        /// Their password.
        password: Secret,
    },
}

/// `[portal.directory]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// What is read.
    pub kind: DirectoryKind,
    /// How often it is read.
    pub interval: Duration,
    /// Whether accounts that the directory brings get a welcome e-mail.
    pub welcome_new: bool,
    /// Whether a PIN that the PBX accepts makes an account (R-E3).
    pub create_on_first_login: bool,
}

/// Where a list of users is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryKind {
    /// Nowhere: accounts come by import and by first login.
    None,
    /// NetSapiens-style API v1.
    NetsapiensV1,
    /// NetSapiens-style API v2.
    NetsapiensV2,
    /// An SQL query.
    Sql,
    /// A CSV file.
    Csv,
}

pub(super) fn read(section: &Section<'_>) -> Option<PortalConfig> {
    let admin_section = section.section("admin");
    let (kind, admin) = admin(&admin_section);
    let directory = directory(&section.section("directory"));
    let profile = section.required("profile", "\"netsapiens\"", Value::filled_text);
    // A name has neither a slash nor an ending; everything else is a file beside ours.
    let (profile, checked_profile) = match profile? {
        path if path.contains('/') || path.ends_with(".toml") => {
            let path = section.resolve(&path);
            (path.to_string_lossy().into_owned(), profile_file(section, &path)?)
        }
        name => {
            let checked = built_in_profile(section, &name)?;
            (name, checked)
        }
    };
    refuse_unusable(&admin_section, kind, &checked_profile);
    Some(PortalConfig { profile, checked_profile: Arc::new(checked_profile), admin, directory })
}

/// An access that the profile has no use for was meant for something.
fn refuse_unusable(section: &Section<'_>, kind: AdminKind, profile: &Profile) {
    let subscriber = profile.subscriber();
    if kind == AdminKind::None {
        return;
    }
    if subscriber.writes().is_empty() && subscriber.reads().is_empty() {
        let message = format!("the profile \"{}\" knows no use for it", profile.name());
        let hint = "leave it \"none\", or add [[subscriber.write]] and [[subscriber.read]] to a \
                    profile of your own";
        section.problem("kind", &message, Some(hint));
    } else if kind == AdminKind::OAuth && subscriber.token_path().is_none() {
        let message =
            format!("the profile \"{}\" does not say where tokens are given", profile.name());
        let hint = "add [subscriber.token] to it, or use \"bearer\" or \"basic\"";
        section.problem("kind", &message, Some(hint));
    }
}

/// Nobody should learn on the day of force that a new PIN goes nowhere.
pub(super) fn say_where_pins_go(
    section: &Section<'_>,
    portal: &PortalConfig,
    rollout: &RolloutConfig,
) {
    let mut rules = rollout.tenants.values().chain([&rollout.everyone]);
    if portal.writes_pins() || !rules.any(|rules| rules.redeclare_pin) {
        return;
    }
    let hint = if portal.checked_profile.subscriber().writes().is_empty() {
        "add [subscriber] to a profile of your own, or set redeclare_pin = false"
    } else {
        "give Passgate an access in [portal.admin], or set redeclare_pin = false"
    };
    let message =
        "PINs cannot be written to this portal: at force the present one is only confirmed";
    section.warn("redeclare_pin", message, Some(hint));
}

impl PortalConfig {
    /// Whether a new voicemail PIN can be written to the PBX, by whichever way.
    fn writes_pins(&self) -> bool {
        let subscriber = self.checked_profile.subscriber();
        let with_access = !matches!(self.admin, AdminAccess::None);
        subscriber.own_page().is_some() || (with_access && !subscriber.writes().is_empty())
    }
}

/// A prefix that covers one of these would take the portal's own pages away.
pub(super) fn refuse_covering(pages: &Section<'_>, prefix: &str, profile: &Profile) {
    for path in [profile.login_page(), profile.home(), profile.sign_out_path()] {
        let below = path.strip_prefix(prefix);
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?'])) {
            let message = format!("\"{prefix}\" would cover the portal's own {path}");
            pages.problem("prefix", &message, Some("choose a path that the portal does not use"));
            return;
        }
    }
}

fn built_in_profile(section: &Section<'_>, name: &str) -> Option<Profile> {
    let Some(text) = Profile::builtin(name) else {
        let names: Vec<&str> = Profile::builtin_names().collect();
        let hint = match closest(name, names.iter().copied()) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => format!("built in: {}; for a file write its path", names.join(", ")),
        };
        section.problem("profile", &format!("no profile is called \"{name}\""), Some(&hint));
        return None;
    };
    checked(section, text, name)
}

fn profile_file(section: &Section<'_>, path: &Path) -> Option<Profile> {
    checked(section, &section.text_of("profile", path)?, &path.to_string_lossy())
}

fn checked(section: &Section<'_>, text: &str, name: &str) -> Option<Profile> {
    match Profile::parse(text, name) {
        Ok(profile) => Some(profile),
        Err(problems) => {
            for problem in problems.0 {
                let place = Place::File { file: problem.file.into(), line: problem.line };
                section.problem_in_other_file(place, problem.message, problem.hint);
            }
            None
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum AdminKind {
    None,
    OAuth,
    Bearer,
    Basic,
}

fn admin(section: &Section<'_>) -> (AdminKind, AdminAccess) {
    let kinds = [
        ("none", AdminKind::None),
        ("oauth", AdminKind::OAuth),
        ("bearer", AdminKind::Bearer),
        ("basic", AdminKind::Basic),
    ];
    let kind = section.or("kind", AdminKind::None, |value| value.choice(&kinds));
    let mut fields = AdminFields {
        section,
        kind_name: kinds.iter().find(|(_, other)| *other == kind).map_or("none", |(name, _)| name),
        client_id: section.get("client_id", Value::optional_text).flatten(),
        client_secret: section.secret("client_secret", "client_secret_file"),
        user: section.get("user", Value::optional_text).flatten(),
        password: section.secret("password", "password_file"),
        token: section.secret("token", "token_file"),
    };
    let access = match kind {
        AdminKind::None => Some(AdminAccess::None),
        AdminKind::OAuth => fields.oauth(),
        AdminKind::Bearer => fields.bearer(),
        AdminKind::Basic => fields.basic(),
    };
    fields.refuse_left_over();
    (kind, access.unwrap_or(AdminAccess::None))
}

struct AdminFields<'a> {
    section: &'a Section<'a>,
    kind_name: &'static str,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    user: Option<String>,
    password: Option<Secret>,
    token: Option<Secret>,
}

impl AdminFields<'_> {
    fn oauth(&mut self) -> Option<AdminAccess> {
        let client_id = self.needed("client_id", self.client_id.clone());
        let client_secret = self.needed("client_secret", self.client_secret.clone());
        let user = self.needed("user", self.user.clone());
        let password = self.needed("password", self.password.clone());
        (self.client_id, self.client_secret, self.user, self.password) = (None, None, None, None);
        Some(AdminAccess::OAuth {
            client_id: client_id?,
            client_secret: client_secret?,
            user: user?,
            password: password?,
        })
    }

    fn bearer(&mut self) -> Option<AdminAccess> {
        let token = self.token.take();
        Some(AdminAccess::Bearer { token: self.needed("token", token)? })
    }

    fn basic(&mut self) -> Option<AdminAccess> {
        let (user, password) = (self.user.take(), self.password.take());
        let (user, password) = (self.needed("user", user), self.needed("password", password));
        Some(AdminAccess::Basic { user: user?, password: password? })
    }

    fn needed<T>(&self, key: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.section.has(key) {
            let message = format!("is missing for kind = \"{}\"", self.kind_name);
            self.section.problem(key, &message, None);
        }
        value
    }

    /// A credential that the kind does not use was meant for something.
    fn refuse_left_over(&self) {
        let left = [
            ("client_id", self.client_id.is_some()),
            ("client_secret", self.client_secret.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
            ("token", self.token.is_some()),
        ];
        for (key, _) in left.into_iter().filter(|(_, given)| *given) {
            let message = format!("is not used with kind = \"{}\"", self.kind_name);
            self.section.problem(key, &message, Some("choose the kind that it belongs to"));
        }
    }
}

fn directory(section: &Section<'_>) -> DirectoryConfig {
    let kind = section.or("kind", DirectoryKind::None, directory_kind);
    if kind != DirectoryKind::None {
        section.unavailable("kind", "only \"none\"; import a CSV file, or let first logins do it");
    }
    let interval = section.or("interval", MINUTE * 15, |value| value.duration(MINUTE..=DAY * 7));
    let welcome_new = section.or("welcome_new", false, Value::boolean);
    if welcome_new {
        section.unavailable("welcome_new", "welcome e-mails");
    }
    let create_on_first_login = section.or("create_on_first_login", true, Value::boolean);
    DirectoryConfig { kind, interval, welcome_new, create_on_first_login }
}

fn directory_kind(value: Value<'_>) -> Result<DirectoryKind, Wrong> {
    value.choice(&[
        ("none", DirectoryKind::None),
        ("netsapiens-v1", DirectoryKind::NetsapiensV1),
        ("netsapiens-v2", DirectoryKind::NetsapiensV2),
        ("sql", DirectoryKind::Sql),
        ("csv", DirectoryKind::Csv),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems, warnings};
    use super::AdminAccess;
    use crate::profile::Profile;

    #[test]
    fn a_profile_is_a_name_or_a_file() {
        let built_in = config("").portal;
        assert_eq!(
            (built_in.profile.as_str(), built_in.checked_profile.name()),
            ("netsapiens", "netsapiens")
        );
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("own.toml");
        let text = format!("[portal]\nprofile = \"{}\"\n", file.display());
        assert!(problems(&text)[0].contains(":2: portal.profile: "), "{:?}", problems(&text));
        std::fs::write(&file, Profile::builtin("netsapiens").unwrap()).unwrap();
        assert_eq!(config(&text).portal.profile, file.display().to_string());
    }

    #[test]
    fn a_misspelt_profile_gets_a_suggestion() {
        let problems = problems("[portal]\nprofile = \"netsapien\"\n");
        assert!(problems[0].contains(":2: portal.profile: no profile is called \"netsapien\""));
        assert!(problems[0].contains("hint: did you mean \"netsapiens\"?"), "{problems:?}");
    }

    /// What is wrong in a profile file is reported with that file's lines, beside our own.
    #[test]
    fn a_profile_with_mistakes_is_reported_with_its_lines() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("own.toml");
        std::fs::write(&file, "frobnicate = 1\n").unwrap();
        let text = format!("[portal]\nprofile = \"{}\"\n[pin]\nmin_length = 0\n", file.display());
        let problems = problems(&text).concat();
        assert!(problems.contains(&format!("{}:1: ", file.display())), "{problems}");
        assert!(problems.contains(":4: pin.min_length: "), "{problems}");
    }

    #[test]
    fn own_pages_do_not_cover_the_portal() {
        let problems = problems("[pages]\nprefix = \"/portal\"\n");
        assert!(problems[0].contains(":2: pages.prefix: \"/portal\" would cover"), "{problems:?}");
    }

    #[test]
    fn credentials_must_belong_to_the_kind() {
        let problems = problems("[portal.admin]\nkind = \"bearer\"\npassword = \"canary\"\n");
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains(":1: portal.admin.token: is missing for kind = \"bearer\""));
        assert!(problems[1].contains(":3: portal.admin.password: is not used"), "{problems:?}");
        assert!(!problems.concat().contains("canary"));
    }

    /// R-B4: Passgate's own access to the PBX, of each kind.
    #[test]
    fn accesses_of_each_kind() {
        let oauth = "[portal.admin]\nkind = \"oauth\"\nclient_id = \"app\"\n\
                     client_secret = \"canary\"\nuser = \"9001\"\npassword = \"canary\"\n";
        let oauth = config(oauth).portal.admin;
        assert!(matches!(&oauth, AdminAccess::OAuth { user, .. } if user == "9001"), "{oauth:?}");
        assert!(!format!("{oauth:?}").contains("canary"));
        let basic = "[portal.admin]\nkind = \"basic\"\nuser = \"9001\"\npassword = \"x\"\n";
        assert!(matches!(config(basic).portal.admin, AdminAccess::Basic { .. }));
        let bearer = "[portal.admin]\nkind = \"bearer\"\ntoken = \"x\"\n";
        assert!(matches!(config(bearer).portal.admin, AdminAccess::Bearer { .. }));
    }

    /// An access that the profile knows no use for is not passed over in silence.
    #[test]
    fn an_access_needs_a_profile_that_uses_it() {
        let bearer = "[portal.admin]\nkind = \"bearer\"\ntoken = \"x\"\n";
        let fusion = problems(&format!("[portal]\nprofile = \"fusionpbx\"\n{bearer}"));
        assert_eq!(fusion.len(), 1, "{fusion:?}");
        assert!(
            fusion[0].contains(":4: portal.admin.kind: the profile \"fusionpbx\" knows no use")
        );
        assert!(fusion[0].contains("hint: leave it \"none\""), "{fusion:?}");

        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("own.toml");
        let profile = Profile::builtin("netsapiens").unwrap();
        std::fs::write(
            &file,
            profile
                .replace("[subscriber.token]", "#")
                .replace("path = \"/ns-api/oauth2/token\"", "#"),
        )
        .unwrap();
        let without_token = problems(&format!(
            "[portal]\nprofile = \"{}\"\n[portal.admin]\nkind = \"oauth\"\nclient_id = \"a\"\n\
             client_secret = \"b\"\nuser = \"c\"\npassword = \"d\"\n",
            file.display()
        ));
        assert_eq!(without_token.len(), 1, "{without_token:?}");
        assert!(
            without_token[0]
                .contains("does not say where tokens are given\n  hint: add [subscriber.token]")
        );
    }

    /// R-A3: what "redeclare" can mean on this PBX is said before the day of force.
    #[test]
    fn a_pin_that_goes_nowhere_is_warned_about() {
        let warned = |text: &str| {
            let told = warnings(text).into_iter();
            told.filter(|told| told.contains("PINs cannot be written")).collect::<Vec<_>>().concat()
        };
        let fusion = "[portal]\nprofile = \"fusionpbx\"\n[rollout]\n";
        let said = warned(&format!("{fusion}redeclare_pin = true\n"));
        assert!(said.contains(":4: rollout.redeclare_pin: PINs cannot be written"), "{said}");
        assert!(said.contains("hint: add [subscriber] to a profile of your own"), "{said}");
        assert!(!warned(fusion).is_empty());
        assert_eq!(warned(&format!("{fusion}redeclare_pin = false\n")), "");
        let one = "redeclare_pin = false\n[rollout.tenants.acme]\nredeclare_pin = true\n";
        assert!(!warned(&format!("{fusion}{one}")).is_empty());
        // With the user's own session.
        assert_eq!(warned(""), "");

        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("own.toml");
        let api_only = Profile::builtin("netsapiens").unwrap();
        let api_only = api_only.split("[subscriber.own_page]").next().unwrap();
        std::fs::write(&file, api_only).unwrap();
        let own = format!("[portal]\nprofile = \"{}\"\n", file.display());
        assert!(warned(&own).contains("hint: give Passgate an access in [portal.admin]"));
        let access = "[portal.admin]\nkind = \"bearer\"\ntoken = \"x\"\n";
        assert_eq!(warned(&format!("{own}{access}")), "");
    }

    #[test]
    fn directories_are_still_to_come() {
        let problems =
            problems("[portal.directory]\nkind = \"netsapiens-v3\"\nwelcome_new = true\n");
        assert!(problems[0].contains("hint: did you mean \"netsapiens-v1\"?"), "{problems:?}");
        assert!(problems[1].contains("not available in this version: welcome e-mails"));
    }
}
