//! `[pin]`: rules for new voicemail PINs (R-B3).

use std::sync::Arc;

use super::section::Section;
use crate::domain::pin_policy::{CommonPins, PinPolicy};

pub(super) fn read(section: &Section<'_>) -> PinPolicy {
    let standard = PinPolicy::standard();
    let min_length = section.or("min_length", standard.min_length, |v| v.integer(1..=32));
    let max_length = section.or("max_length", standard.max_length, |v| v.integer(1..=32));
    if min_length > max_length {
        let key = if section.has("max_length") { "max_length" } else { "min_length" };
        let message =
            format!("no PIN is at least {min_length} and at most {max_length} digits long");
        section.problem(key, &message, None);
    }
    let blocklist = blocklist(section).map_or(standard.blocklist, Arc::new);
    PinPolicy { min_length, max_length, blocklist }
}

fn blocklist(section: &Section<'_>) -> Option<CommonPins> {
    let file = section.path("blocklist")?;
    let text = section.text_of("blocklist", &file)?;
    match CommonPins::parse(&text) {
        Ok(pins) => Some(pins),
        Err(bad) => {
            section.problem("blocklist", &format!("{}: {bad}", file.display()), None);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};
    use crate::domain::pin_policy::PinPolicy;

    #[test]
    fn the_list_can_be_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pins.txt");
        std::fs::write(&file, "# ours\n4829\n").unwrap();
        let text = format!("[pin]\nblocklist = \"{}\"\n", file.display());
        let pin = config(&text).pin;
        assert!(pin.blocklist.contains("4829") && !pin.blocklist.contains("1234"));
        std::fs::write(&file, "4829\nabc\n").unwrap();
        assert!(problems(&text)[0].contains("line 2 is not a PIN"));
        assert_eq!(config("").pin, PinPolicy::standard());
    }

    #[test]
    fn a_list_that_is_not_there_is_an_error() {
        let problems = problems("[pin]\nblocklist = \"/nowhere/pins\"\n");
        assert!(problems[0].contains(":2: pin.blocklist: /nowhere/pins cannot be read"));
    }

    #[test]
    fn lengths_that_exclude_each_other_are_a_contradiction() {
        let problems = problems("[pin]\nmin_length = 8\nmax_length = 6\n");
        assert!(problems[0].contains(":3: pin.max_length: no PIN is at least 8 and at most 6"));
    }
}
