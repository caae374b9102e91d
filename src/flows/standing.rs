//! What a session reaches at this moment, by the clock and the phase (R-A6). Cookies and tokens are
//! asked the same question.

use super::Services;
use crate::domain::rollout::Phase;
use crate::domain::session::{LiveSession, ObtainedWith, Standing};

impl Services {
    /// What `session` reaches now.
    pub fn standing(&self, session: &LiveSession) -> Standing {
        let now = self.clock.now();
        let record = session.record();
        // The phase rules hold for sessions obtained with a PIN only: the others skip the look-up.
        let phase = match record.obtained_with {
            ObtainedWith::Pin => self.policies.rollout.phase(record.login.tenant(), now),
            ObtainedWith::Password | ObtainedWith::InitialPassword => Phase::Quiet,
        };
        session.standing(&self.policies.session, phase, now)
    }
}
