//! The open connections: how many each client address has, and who they are.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use super::connection::ConnectionHandle;

/// Counts and knows every open client connection.
#[derive(Debug)]
pub struct Connections {
    limit: Option<u32>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_address: HashMap<IpAddr, u32>,
    handles: HashMap<u64, ConnectionHandle>,
    next: u64,
    refused: u64,
}

impl Connections {
    /// Allows `limit` connections per client address; `None` for any number.
    pub fn new(limit: Option<u32>) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.state.lock().by_address.values().map(|&count| count as usize).sum()
    }

    /// Connections that were closed at once because their address had too many.
    pub fn refused(&self) -> u64 {
        self.state.lock().refused
    }

    /// Lets one more connection of `client` in, or `None` if it has too many. The place is given
    /// back when the permit is dropped.
    pub(super) fn admit(self: &Arc<Self>, client: IpAddr) -> Option<Permit> {
        let key = counted_as(client);
        let mut state = self.state.lock();
        let count = state.by_address.entry(key).or_insert(0);
        if self.limit.is_some_and(|limit| *count >= limit) {
            // An entry made just now can only be refused by a limit of zero.
            if *count == 0 {
                state.by_address.remove(&key);
            }
            state.refused += 1;
            return None;
        }
        *count += 1;
        let id = state.next;
        state.next += 1;
        Some(Permit { connections: Arc::clone(self), key, id })
    }

    /// Runs the kill switch of every open connection.
    pub(super) fn kill_all(&self) {
        let handles: Vec<_> = self.state.lock().handles.values().cloned().collect();
        for handle in handles {
            handle.kill();
        }
    }
}

/// The place of one connection among its address's.
#[derive(Debug)]
pub(super) struct Permit {
    connections: Arc<Connections>,
    key: IpAddr,
    id: u64,
}

impl Permit {
    /// Makes the connection reachable for [`Connections::kill_all`] while the permit lives.
    pub(super) fn attach(&self, handle: &ConnectionHandle) {
        self.connections.state.lock().handles.insert(self.id, handle.clone());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.connections.state.lock();
        state.handles.remove(&self.id);
        if let Some(count) = state.by_address.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&self.key);
            }
        }
    }
}

/// One customer holds a whole IPv6 /64, so all its addresses count as one; IPv4 in IPv6 clothes is
/// IPv4.
fn counted_as(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connections per address limited; the place is given back when a connection closes.
    #[test]
    fn places_are_limited_and_given_back() {
        let connections = Arc::new(Connections::new(Some(2)));
        let client: IpAddr = "203.0.113.7".parse().unwrap();
        let first = connections.admit(client).unwrap();
        let second = connections.admit("::ffff:203.0.113.7".parse().unwrap()).unwrap();
        assert!(connections.admit(client).is_none());
        assert!(connections.admit("203.0.113.8".parse().unwrap()).is_some());
        assert_eq!(connections.refused(), 1);
        drop(first);
        assert!(connections.admit(client).is_some());
        drop(second);
        assert_eq!(connections.open(), 0);
    }

    /// All addresses of an IPv6 /64 are one client.
    #[test]
    fn ipv6_counts_by_64() {
        let connections = Arc::new(Connections::new(Some(1)));
        let _held = connections.admit("2001:db8:1:2:aaaa::1".parse().unwrap()).unwrap();
        assert!(connections.admit("2001:db8:1:2:bbbb::9".parse().unwrap()).is_none());
        assert!(connections.admit("2001:db8:1:3::1".parse().unwrap()).is_some());
    }

    /// A limit of zero refuses and leaves nothing behind.
    #[test]
    fn zero_leaves_no_entry() {
        let connections = Arc::new(Connections::new(Some(0)));
        assert!(connections.admit("203.0.113.7".parse().unwrap()).is_none());
        assert!(connections.state.lock().by_address.is_empty());
    }
}
