//! What one client address may use: connections at a time, and calls a second by what they cost.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use lru::LruCache;
use parking_lot::Mutex;

use crate::config::{ClientLimits, MAX_KNOWN_CLIENTS};

/// Cost of a call that answers from memory, in credits.
pub(crate) const LIGHT: NonZeroU32 = NonZeroU32::MIN;
/// Cost of a call that reads much or executes.
pub(crate) const HEAVY: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// Cost of a call that executes blocks again.
pub(crate) const TRACE: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// All addresses that were seen lately.
pub(crate) struct Clients {
    limits: ClientLimits,
    /// The oldest is forgotten first, which refills its budget: whoever has that many addresses is not bounded by addresses.
    known: Mutex<LruCache<IpAddr, Arc<Client>>>,
}

/// One address.
pub(crate) struct Client {
    most_connections: u32,
    connections: AtomicU32,
    credits: Option<DefaultDirectRateLimiter>,
    methods: HashMap<String, DefaultDirectRateLimiter>,
}

/// A connection that counts, for as long as this lives.
pub(crate) struct Place(Arc<Client>);

impl std::ops::Deref for Place {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

impl Clients {
    pub(crate) fn new(limits: ClientLimits) -> Self {
        let most = NonZeroUsize::new(MAX_KNOWN_CLIENTS).unwrap_or(NonZeroUsize::MIN);
        Self { limits, known: Mutex::new(LruCache::new(most)) }
    }

    /// The client at an address. IPv6 networks of 64 bits count as one: that is what a single host is given.
    pub(crate) fn at(&self, address: IpAddr) -> Arc<Client> {
        let address = match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
            other => other,
        };
        if self.limits.unlimited.contains(&address) {
            return Arc::new(Client::unlimited());
        }
        Arc::clone(self.known.lock().get_or_insert(address, || Arc::new(Client::new(&self.limits))))
    }
}

impl Place {
    /// Of a process on this machine that may open our socket.
    pub(crate) fn unlimited() -> Self {
        Self(Arc::new(Client::unlimited()))
    }
}

impl Client {
    /// Without limits of its own.
    fn unlimited() -> Self {
        Self { most_connections: u32::MAX, connections: AtomicU32::new(0), credits: None, methods: HashMap::new() }
    }

    fn new(limits: &ClientLimits) -> Self {
        let methods = limits.method_calls_per_second.iter().filter_map(|(method, rate)| {
            Some((method.clone(), RateLimiter::direct(Quota::per_second(NonZeroU32::new(*rate)?))))
        });
        // A burst of two seconds, and never less than the dearest call costs.
        let credits = NonZeroU32::new(limits.credits_per_second).map(|rate| {
            let burst = rate.saturating_mul(const { NonZeroU32::new(2).unwrap() }).max(TRACE);
            RateLimiter::direct(Quota::per_second(rate).allow_burst(burst))
        });
        let most_connections = if limits.connections == 0 { u32::MAX } else { limits.connections };
        Self { most_connections, connections: AtomicU32::new(0), credits, methods: methods.collect() }
    }

    /// A place for one more connection, unless the client has all it may.
    pub(crate) fn connect(self: &Arc<Self>) -> Option<Place> {
        let admit = |count: u32| (count < self.most_connections).then(|| count.saturating_add(1));
        self.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit).ok()?;
        Some(Place(Arc::clone(self)))
    }

    /// Whether the client may make this call now; if so, it has been paid for.
    pub(crate) fn admits(&self, method: &str, cost: NonZeroU32) -> bool {
        self.methods.get(method).is_none_or(|limiter| limiter.check().is_ok())
            && self.credits.as_ref().is_none_or(|credits| matches!(credits.check_n(cost), Ok(Ok(()))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(connections: u32, credits_per_second: u32) -> Clients {
        let method_calls_per_second = [("eth_getLogs".to_owned(), 1)].into();
        let unlimited = vec!["127.0.0.1".parse().unwrap()];
        Clients::new(ClientLimits { connections, credits_per_second, method_calls_per_second, unlimited })
    }

    fn at(clients: &Clients, address: &str) -> Arc<Client> {
        clients.at(address.parse().unwrap())
    }

    #[test]
    fn connections_are_counted_by_address() {
        let clients = clients(2, 0);
        let one = at(&clients, "10.0.0.1");
        let places = (one.connect().unwrap(), one.connect().unwrap());
        assert!(at(&clients, "::ffff:10.0.0.1").connect().is_none(), "the same address in another form");
        assert!(at(&clients, "10.0.0.2").connect().is_some());
        drop(places);
        assert!(one.connect().is_some());
        let network = at(&clients, "2001:db8::1");
        let _places = (network.connect().unwrap(), network.connect().unwrap());
        assert!(at(&clients, "2001:db8::ffff:2").connect().is_none(), "one network");
        assert!(at(&clients, "2001:db8:0:1::1").connect().is_some(), "another network");
    }

    #[test]
    fn calls_cost_what_they_are_worth() {
        let clients = clients(0, 60);
        let client = at(&clients, "10.0.0.1");
        assert!(client.admits("debug_traceCall", TRACE), "a burst of 120");
        assert!((0..20).filter(|_| client.admits("eth_chainId", LIGHT)).count() == 20);
        assert!(!client.admits("eth_call", HEAVY));
        assert!(at(&clients, "10.0.0.2").admits("eth_call", HEAVY));
        assert!(at(&clients, "10.0.0.2").admits("eth_getLogs", HEAVY));
        assert!(!at(&clients, "10.0.0.2").admits("eth_getLogs", HEAVY), "one a second");
        let exempt = at(&clients, "127.0.0.1");
        assert!((0..1_000).all(|_| exempt.admits("eth_getLogs", HEAVY) && exempt.connect().is_some()));
    }
}
