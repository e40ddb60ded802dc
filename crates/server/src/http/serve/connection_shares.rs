//! Fair shares of connections: an address may hold at most as many connections as are free for all others.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
};

use system::sync::lock;

use crate::config::Networks;

/// How long an address counts as WeChat's after its last authentic callback.
const PROVEN_S: i64 = 600;
/// Addresses remembered in memory. Beyond this, those without a connection are forgotten.
const ADDRESSES_MAX: usize = 16_384;

/// How many connections each address holds.
#[derive(Debug)]
pub struct ConnectionShares {
    proxies: Networks,
    addresses: Mutex<HashMap<IpAddr, Arc<PeerConnections>>>,
}

/// State of one IPv4 address or one IPv6 network.
#[derive(Debug, Default)]
struct PeerConnections {
    /// Changed only while the map is locked.
    connections: AtomicUsize,
    /// When the last authentic callback came from it, in Unix seconds. 0: never.
    callback_s: AtomicI64,
    is_refused: AtomicBool,
    /// The first and the last second in which a connection was refused before any authentic callback came from it.
    refused: Mutex<Option<(i64, i64)>>,
}

/// One connection counted for its address, until this is dropped.
#[derive(Debug)]
pub struct ConnectionShare {
    shares: Arc<ConnectionShares>,
    /// None: the address is a proxy or local and has no limit.
    address: Option<(IpAddr, Arc<PeerConnections>)>,
}

/// The address already holds its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareExceeded {
    /// An authentic callback came from this address recently, so this connection could have brought one too.
    pub may_be_wechat: bool,
}

impl ConnectionShares {
    /// Starts without connections. Proxies have no limit, because one proxy stands for many callers.
    pub fn new(proxies: Networks) -> Arc<ConnectionShares> {
        Arc::new(ConnectionShares { proxies, addresses: Mutex::default() })
    }

    /// Counts a connection from `peer`, while `free` further ones are free.
    ///
    /// # Errors
    /// If the address already holds more than `free` connections.
    pub fn take(
        self: &Arc<ConnectionShares>,
        peer: IpAddr,
        free: usize,
        now_s: i64,
    ) -> Result<ConnectionShare, ShareExceeded> {
        let Some(key) = self.proxies.counted_as(peer) else {
            return Ok(ConnectionShare { shares: self.clone(), address: None });
        };
        let mut addresses = lock(&self.addresses);
        if addresses.len() > ADDRESSES_MAX {
            addresses.retain(|_, address| address.connections.load(Ordering::Relaxed) > 0);
        }
        let address = addresses.entry(key).or_default().clone();
        if address.connections.load(Ordering::Relaxed) > free {
            return Err(address.refuse(now_s));
        }
        address.connections.fetch_add(1, Ordering::Relaxed);
        drop(addresses);
        Ok(ConnectionShare { shares: self.clone(), address: Some((key, address)) })
    }
}

impl PeerConnections {
    fn refuse(&self, now_s: i64) -> ShareExceeded {
        let callback_s = self.callback_s.load(Ordering::Relaxed);
        let may_be_wechat = callback_s > 0 && now_s - callback_s < PROVEN_S;
        if !may_be_wechat {
            let mut refused = lock(&self.refused);
            let lately = refused.filter(|(_, last_s)| now_s - last_s < PROVEN_S);
            *refused = Some((lately.map_or(now_s, |(first_s, _)| first_s), now_s));
            self.is_refused.store(true, Ordering::Relaxed);
        }
        ShareExceeded { may_be_wechat }
    }

    fn is_remembered(&self) -> bool {
        self.callback_s.load(Ordering::Relaxed) > 0 || self.is_refused.load(Ordering::Relaxed)
    }
}

impl ConnectionShare {
    /// Records that an authentic callback came on this connection. Returns the range of seconds (end exclusive) in which
    /// other connections of its address were refused shortly before, once.
    pub fn record_authentic_callback(&self, now_s: i64) -> Option<(i64, i64)> {
        let (_, address) = self.address.as_ref()?;
        // Written at most once a second, because all cores read it.
        if address.callback_s.load(Ordering::Relaxed) != now_s {
            address.callback_s.store(now_s, Ordering::Relaxed);
        }
        if !address.is_refused.load(Ordering::Relaxed) {
            return None;
        }
        let mut refused = lock(&address.refused);
        address.is_refused.store(false, Ordering::Relaxed);
        let (from_s, last_s) = refused.take()?;
        (now_s - last_s < PROVEN_S).then_some((from_s, last_s + 1))
    }
}

impl Drop for ConnectionShare {
    fn drop(&mut self) {
        let Some((key, address)) = &self.address else { return };
        let mut addresses = lock(&self.shares.addresses);
        if address.connections.fetch_sub(1, Ordering::Relaxed) == 1 && !address.is_remembered() {
            addresses.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(proxies: &[&str]) -> Arc<ConnectionShares> {
        let proxies: Vec<String> = proxies.iter().map(|text| (*text).to_owned()).collect();
        ConnectionShares::new(Networks::parse("proxies", &proxies).unwrap())
    }

    /// Takes connections for an address until it is refused.
    fn all(shares: &Arc<ConnectionShares>, peer: &str, free: &mut usize) -> Vec<ConnectionShare> {
        let mut taken = Vec::new();
        while *free > 0
            && let Ok(share) = shares.take(peer.parse().unwrap(), *free - 1, 1)
        {
            *free -= 1;
            taken.push(share);
        }
        taken
    }

    #[test]
    fn no_addresses_together_take_all_connections_except_proxies_and_this_machine() {
        let (shares, mut free) = (shares(&["192.0.2.0/24"]), 64);
        let one = all(&shares, "198.51.100.1", &mut free);
        let two = all(&shares, "2001:db8::1", &mut free);
        let same_network = all(&shares, "2001:db8::2:1", &mut free);
        let three = all(&shares, "198.51.100.2", &mut free);
        assert_eq!((one.len(), two.len(), same_network.len(), three.len(), free), (32, 16, 0, 8, 8));
        drop(one);
        free += 32;
        assert_eq!(all(&shares, "::ffff:198.51.100.1", &mut free).len(), 20, "the same address again");
        let before = free + 20;
        free = before;
        let proxy = all(&shares, "192.0.2.7", &mut free);
        assert_eq!((proxy.len(), free), (before, 0));
        free = 5;
        assert_eq!(all(&shares, "127.0.0.2", &mut free).len() + all(&shares, "::1", &mut free).len(), 5);
        drop((two, same_network, three, proxy));
        assert!(
            lock(&shares.addresses).keys().all(|key| *key == "198.51.100.1".parse::<IpAddr>().unwrap()
                || key.is_ipv6()
                || *key == "198.51.100.2".parse::<IpAddr>().unwrap()),
            "only refused addresses stay"
        );
    }

    #[test]
    fn a_refusal_is_wechats_if_a_callback_came_from_the_address_before_or_comes_soon_after() {
        let shares = shares(&[]);
        let take = |free, now_s| shares.take("198.51.100.1".parse().unwrap(), free, now_s);
        let share = take(0, 1_000).unwrap();
        assert_eq!(take(0, 1_001).unwrap_err(), ShareExceeded { may_be_wechat: false });
        assert_eq!(take(0, 1_003).unwrap_err(), ShareExceeded { may_be_wechat: false });
        assert_eq!(share.record_authentic_callback(1_005), Some((1_001, 1_004)));
        assert_eq!(share.record_authentic_callback(1_006), None, "returned once");
        assert_eq!(take(0, 1_007).unwrap_err(), ShareExceeded { may_be_wechat: true });
        assert_eq!(take(0, 1_006 + PROVEN_S).unwrap_err(), ShareExceeded { may_be_wechat: false });
        assert_eq!(share.record_authentic_callback(1_006 + 2 * PROVEN_S), None, "too long ago");
    }

    #[test]
    fn the_number_of_remembered_addresses_is_bounded() {
        let shares = shares(&[]);
        for number in 0..u32::try_from(ADDRESSES_MAX).unwrap() + 10 {
            let share = shares.take(std::net::Ipv4Addr::from_bits(number).into(), 9, 1).unwrap();
            share.record_authentic_callback(1);
        }
        assert!(lock(&shares.addresses).len() <= ADDRESSES_MAX);
    }
}
