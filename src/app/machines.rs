//! The machine clients of the configuration.

use crate::config::{Config, KeyPlace};
use crate::gateway::machine::{KeyAt, MachineClients, MachineRule, OfferedKey, PublicUrls};

/// Those that the configuration lets in; `None`: none.
pub(super) fn machine_clients(config: &Config) -> Option<MachineClients> {
    let rules = config.machine_clients.iter().map(|client| MachineRule {
        name: client.name.clone(),
        paths: client.paths.clone(),
        methods: client.methods.clone(),
        addresses: client.addresses.clone(),
        key: client.key.as_ref().map(|key| OfferedKey {
            secret: key.secret.clone(),
            at: match &key.place {
                KeyPlace::Header(name) => KeyAt::Header(name.clone()),
                KeyPlace::Query(name) => KeyAt::Query(name.clone()),
            },
            forwarded: key.forward,
        }),
        plain_http: client.plain_http,
    });
    let url = |url: &url::Url| url.as_str().trim_end_matches('/').to_owned();
    let brands = config.brands.iter();
    let by_host = brands.flat_map(|brand| {
        brand.hosts.iter().map(move |host| (host.to_ascii_lowercase(), url(&brand.public_url)))
    });
    let urls =
        PublicUrls { of_everybody: url(&config.server.public_url), by_host: by_host.collect() };
    MachineClients::new(rules.collect(), urls)
}
