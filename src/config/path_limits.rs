//! `[[limits.path]]`: request rates of chosen paths (R-G4).

use super::chosen;
use super::limits::request_rate;
use super::section::Section;
use super::value::{Rate, Value};
use crate::profile::PathSet;

/// One `[[limits.path]]`.
#[derive(Debug, Clone)]
pub struct PathLimit {
    /// The paths that it is for.
    pub paths: PathSet,
    /// The methods that it is for; empty: all.
    pub methods: Vec<&'static str>,
    /// By what it counts.
    pub per: LimitedBy,
    /// How many requests.
    pub rate: Rate,
}

/// By what requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitedBy {
    /// The client's address.
    Address,
    /// The session.
    Session,
    /// The bearer token.
    Token,
}

pub(super) fn read(sections: &[Section<'_>]) -> Vec<PathLimit> {
    sections.iter().filter_map(path_limit).collect()
}

fn path_limit(section: &Section<'_>) -> Option<PathLimit> {
    const PER: [(&str, LimitedBy); 3] = [
        ("address", LimitedBy::Address),
        ("session", LimitedBy::Session),
        ("token", LimitedBy::Token),
    ];
    let paths = chosen::paths(section);
    let methods = chosen::methods(section);
    let per = section.required("per", "\"address\"", |value| value.choice(&PER));
    let rate = section.required("rate", "\"10/s\"", Value::rate);
    let rate = rate.filter(|rate| request_rate(section, "rate", *rate));
    Some(PathLimit { paths: paths?, methods, per: per?, rate: rate? })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};
    use super::super::value::SECOND;
    use super::*;

    /// R-G4: chosen paths, each by what it says.
    #[test]
    fn path_limits_are_read() {
        let limits = config(
            "[[limits.path]]\npaths = [\"/ns-api/*\", \"/portal/search\"]\nmethods = [\"POST\"]\n\
             per = \"token\"\nrate = \"10/s\"\n",
        );
        let limit = &limits.limits.paths[0];
        assert!(limit.paths.contains("/ns-api/v2/x") && !limit.paths.contains("/portal/home"));
        assert_eq!((limit.methods.as_slice(), limit.per), (&["POST"][..], LimitedBy::Token));
        assert_eq!(limit.rate, Rate { count: 10, period: SECOND });
    }

    #[test]
    fn mistakes_are_told() {
        let problems = problems(
            "[[limits.path]]\npaths = [\"ns-api\", \"/a*b\", \"/x?y\"]\nmethods = [\"post\"]\n\
             per = \"user\"\nrate = \"10/48h\"\n[[limits.path]]\npaths = []\nrates = \"1/s\"\n",
        );
        for expected in [
            ":2: limits.path.paths: the path `ns-api` does not begin with `/`",
            ":2: limits.path.paths: `/a*b`: `*` stands only at the end",
            ":2: limits.path.paths: \"/x?y\": a path has no query",
            ":3: limits.path.methods: \"post\" is not one of",
            ":4: limits.path.per: \"user\" is not one of",
            ":5: limits.path.rate: counts over more than a day",
            ":6: limits.path.per is missing",
            ":6: limits.path.rate is missing",
            ":7: limits.path.paths: needs at least one path",
            ":8: unknown key `rates`",
        ] {
            assert!(problems.iter().any(|one| one.contains(expected)), "{expected}: {problems:#?}");
        }
    }
}
