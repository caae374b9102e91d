//! The portal's HTML templates and static files, embedded.

use minijinja::{Environment, Value};

/// The compiled templates.
pub(super) struct Views(Environment<'static>);

const TEMPLATES: &[(&str, &str)] = &[
    ("layout.html", include_str!("templates/layout.html")),
    ("outside.html", include_str!("templates/outside.html")),
    ("login.html", include_str!("templates/login.html")),
    ("mfa.html", include_str!("templates/mfa.html")),
    ("side_door.html", include_str!("templates/side_door.html")),
    ("home.html", include_str!("templates/home.html")),
    ("calls.html", include_str!("templates/calls.html")),
    ("calls_table.html", include_str!("templates/calls_table.html")),
    ("contacts.html", include_str!("templates/contacts.html")),
    ("voicemail.html", include_str!("templates/voicemail.html")),
    ("messages.html", include_str!("templates/messages.html")),
    ("profile.html", include_str!("templates/profile.html")),
    ("plain.html", include_str!("templates/plain.html")),
    ("poll.js", include_str!("templates/poll.js")),
];

impl Views {
    #[allow(clippy::expect_used, reason = "the embedded templates parse: tests render each page")]
    pub(super) fn built_in() -> Self {
        let mut environment = Environment::new();
        for (name, source) in TEMPLATES {
            environment
                .add_template(name, source)
                .expect("the embedded templates parse; tests/every page is rendered");
        }
        Self(environment)
    }

    /// Renders a template; a mistake in it is shown in the page, as PHP would.
    pub(super) fn render(&self, name: &str, values: Value) -> String {
        let rendered = self.0.get_template(name).and_then(|template| template.render(values));
        rendered.unwrap_or_else(|error| format!("Fatal error: {error:#}"))
    }
}

/// A static file: content type and bytes.
pub(super) fn asset(path: &str) -> Option<(&'static str, &'static [u8])> {
    const CSS: &str = "text/css; charset=utf-8";
    const JS: &str = "application/javascript; charset=utf-8";
    const SVG: &str = "image/svg+xml";
    Some(match path {
        "/portal/css/portal.css" => (CSS, include_bytes!("assets/portal.css")),
        "/portal/js/messages.js" => (JS, include_bytes!("assets/messages.js")),
        "/portal/js/home.js" => (JS, include_bytes!("assets/home.js")),
        "/portal/img/logo.svg" => (SVG, include_bytes!("assets/logo.svg")),
        "/portal/img/handset.svg" | "/favicon.ico" => (SVG, include_bytes!("assets/handset.svg")),
        _ => return None,
    })
}
