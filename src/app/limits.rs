//! The request rate limits of the configuration.

use crate::config::{LimitedBy, LimitsConfig, Rate};
use crate::gateway::limit::{LimitRule, Per, RequestLimits};

/// The limits that the configuration asks for; `None`: none.
pub(super) fn request_limits(config: &LimitsConfig) -> Option<RequestLimits> {
    let everywhere = [
        ("address", Per::Address, config.requests_per_address),
        ("session", Per::Session, config.requests_per_session),
        ("token", Per::Token, config.requests_per_token),
    ];
    let everywhere = everywhere.into_iter().filter_map(|(name, per, rate)| {
        let Rate { count, period } = rate?;
        Some(LimitRule { name: name.into(), per, paths: None, methods: Vec::new(), count, period })
    });
    let chosen = config.paths.iter().enumerate().map(|(index, limit)| LimitRule {
        name: format!("path-{}", index + 1),
        per: match limit.per {
            LimitedBy::Address => Per::Address,
            LimitedBy::Session => Per::Session,
            LimitedBy::Token => Per::Token,
        },
        paths: Some(limit.paths.clone()),
        methods: limit.methods.clone(),
        count: limit.rate.count,
        period: limit.rate.period,
    });
    RequestLimits::new(everywhere.chain(chosen).collect())
}
