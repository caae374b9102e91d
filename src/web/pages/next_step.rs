//! A page without a form: it says what has happened and where to go on.

use http::StatusCode;
use minijinja::context;

use super::Pages;
use super::visit::{Reply, Visit};
use crate::domain::one_time_code::{CodeProblem, Purpose};
use crate::domain::session::Standing;
use crate::web::answers::Part;

/// Where its button leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To the portal's login page, or home for who is signed in.
    SignIn,
    /// The same; beside it the page for a forgotten portal password.
    SignInOrForgot,
    /// To the page for a forgotten portal password; beside it the login page.
    Forgot,
    /// To the page for new users; beside it the portal.
    NewUser,
    /// Back to the login page; what is to be done next is elsewhere.
    Back,
    /// To the portal's home.
    Portal,
}

/// What it says.
pub(super) struct NextStep {
    pub status: StatusCode,
    /// Good or neutral news, or something that went wrong.
    pub good: bool,
    pub title: String,
    pub parts: Vec<Part>,
    pub way: Way,
}

impl NextStep {
    /// Why a link does not work, and what to do instead.
    pub fn of_problem(pages: &Pages, purpose: Purpose, problem: CodeProblem) -> Self {
        let texts = pages.look.texts();
        let links = &pages.services.policies.links;
        let (name, life) = match purpose {
            Purpose::Reset => ("reset", links.reset),
            Purpose::Welcome => ("welcome", links.welcome),
            Purpose::ConfirmEmail => ("confirm_email", links.reset),
        };
        let (status, key) = match problem {
            CodeProblem::Expired => (StatusCode::GONE, "expired"),
            CodeProblem::Spent => (StatusCode::GONE, "spent"),
            CodeProblem::Unknown => (StatusCode::NOT_FOUND, "unknown"),
        };
        let helps = pages.look.settings().sends_mail;
        let way = match (purpose, problem) {
            (Purpose::Reset, CodeProblem::Expired) if helps => Way::Forgot,
            (Purpose::Welcome, CodeProblem::Expired) if helps => Way::NewUser,
            (Purpose::Reset | Purpose::Welcome, CodeProblem::Spent) | (Purpose::Reset, _)
                if helps =>
            {
                Way::SignInOrForgot
            }
            (Purpose::Reset, _) | (_, CodeProblem::Spent) => Way::SignIn,
            _ => Way::Portal,
        };
        let life = texts.span(life);
        let support = pages.look.support();
        let text = match (purpose, problem) {
            (Purpose::Reset | Purpose::Welcome, CodeProblem::Expired) if !helps => {
                "link.expired_without_mail".to_owned()
            }
            _ => format!("{name}.{key}"),
        };
        let text = texts.fill(&text, &[("life", &life), ("support", support)]);
        Self {
            status,
            good: false,
            title: texts.get(&format!("link.{key}")).to_owned(),
            parts: vec![Part::of(text)],
            way,
        }
    }

    /// The page; a problem document, if it is a problem and a script asks.
    pub fn page(self, pages: &Pages, visit: &Visit) -> Reply {
        if visit.wants_json() && !self.status.is_success() {
            let words = self.parts.iter().map(Part::words).collect::<Vec<_>>().join(" ");
            return visit.problem(self.status, &words);
        }
        let settings = pages.look.settings();
        let texts = pages.look.texts();
        let inside = matches!(visit.session(), Some((_, Standing::Full { .. })));
        let home = (settings.home.clone(), "error.home");
        let sign_in = match inside {
            true => home.clone(),
            false => (settings.login_page.clone(), "link.sign_in"),
        };
        let forgot = (pages.look.page("forgot-password"), "forgot_password.title");
        let ways = match self.way {
            Way::SignIn => vec![sign_in],
            Way::SignInOrForgot => vec![sign_in, forgot],
            Way::Forgot => vec![forgot, sign_in],
            Way::NewUser => vec![(pages.look.page("new-user"), "new_user.title"), home],
            Way::Back => vec![(settings.login_page.clone(), "reset.back")],
            Way::Portal => vec![home],
        };
        let ways =
            ways.into_iter().map(|(place, label)| context! { place, label => texts.get(label) });
        let context = context! {
            title => self.title,
            parts => self.parts,
            role => if self.good { "status" } else { "alert" },
            ways => ways.collect::<Vec<_>>(),
            waits => self.way == Way::Back,
        };
        visit.page(pages, self.status, "next_step.html", context)
    }
}
