//! axe-core in the pages of a browser: what in them breaks the accessibility guidelines.

use serde_json::{Value, json};

use super::Browser;

const AXE: &str = include_str!("axe/axe.min.js");

/// What is checked: WCAG 2.2 at AA, and what axe's authors hold to be good practice.
const GUIDELINES: [&str; 6] =
    ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/// Whether what is only good practice is asked for, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Practices {
    Asked,
    /// For parts of other people's pages, and mails.
    NotAsked,
}

impl Browser {
    /// What is wrong with the part of the page that `css` names, in its present look: a line each.
    /// What axe cannot decide about colours counts, too.
    pub async fn wrong_for_axe(&self, css: &str, practices: Practices) -> Vec<String> {
        let guidelines = match practices {
            Practices::Asked => &GUIDELINES[..],
            Practices::NotAsked => &GUIDELINES[..5],
        };
        let run = format!(
            "if (!window.axe) {{ {AXE} }}
             return axe.run(arguments[0], {{
               runOnly: {{ type: 'tag', values: arguments[1] }},
               rules: {{ 'target-size': {{ enabled: true }} }},
               resultTypes: ['violations', 'incomplete', 'passes'],
             }})"
        );
        let found = self.call(&run, vec![json!(css), json!(guidelines)]).await;
        let list = |name: &str| found[name].as_array().cloned().unwrap_or_default();
        // A run that looked at nothing would find nothing.
        assert!(!list("passes").is_empty(), "{css} at {}: {found}", self.path().await);
        let undecided =
            list("incomplete").into_iter().filter(|rule| rule["id"] == "color-contrast");
        list("violations")
            .iter()
            .chain(undecided.collect::<Vec<_>>().iter())
            .flat_map(lines)
            .collect()
    }
}

fn lines(rule: &Value) -> Vec<String> {
    let nodes = rule["nodes"].as_array().cloned().unwrap_or_default();
    let line = |node: &Value| {
        let said = node["failureSummary"].as_str().unwrap_or_default().replace('\n', " ");
        let [id, html] = [&rule["id"], &node["html"]].map(|text| text.as_str().unwrap_or_default());
        format!("{id} at {}: {said} {html}", node["target"])
    };
    nodes.iter().map(line).collect()
}
