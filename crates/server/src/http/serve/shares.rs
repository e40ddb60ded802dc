//! Fair shares of the places for connections: an address has at most as many as are free for all others.

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

/// How long an address may be WeChat's after a callback of WeChat's came from it.
const PROVED_S: i64 = 600;
/// Addresses without a connection that are remembered.
const ADDRESSES_MAX: usize = 16_384;

/// Who holds how many connections.
#[derive(Debug)]
pub struct Shares {
    proxies: Networks,
    addresses: Mutex<HashMap<IpAddr, Arc<Address>>>,
}

/// An address of IPv4, or a network of IPv6.
#[derive(Debug, Default)]
struct Address {
    /// Changed only while the map is locked.
    connections: AtomicUsize,
    /// When the last authentic callback came from it; 0: none did.
    proved_s: AtomicI64,
    is_refused: AtomicBool,
    /// The first and the last second in which a connection was refused while no authentic callback had come from it.
    refused: Mutex<Option<(i64, i64)>>,
}

/// A connection's part of the share of its address; given back when dropped.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    /// None: its address has no bound.
    address: Option<(IpAddr, Arc<Address>)>,
}

/// The address holds its share already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// An authentic callback came from it lately, so this connection might have brought one, too.
    pub may_be_wechat: bool,
}

impl Shares {
    /// Nobody holds any. Proxies have no bound: one stands for many callers.
    pub fn new(proxies: Networks) -> Arc<Shares> {
        Arc::new(Shares { proxies, addresses: Mutex::default() })
    }

    /// A connection from there, while so many further ones are free.
    pub fn take(self: &Arc<Shares>, peer: IpAddr, free: usize, now_s: i64) -> Result<Share, Refused> {
        let Some(key) = self.proxies.counted_as(peer) else {
            return Ok(Share { shares: self.clone(), address: None });
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
        Ok(Share { shares: self.clone(), address: Some((key, address)) })
    }
}

impl Address {
    fn refuse(&self, now_s: i64) -> Refused {
        let proved_s = self.proved_s.load(Ordering::Relaxed);
        let may_be_wechat = proved_s > 0 && now_s - proved_s < PROVED_S;
        if !may_be_wechat {
            let mut refused = lock(&self.refused);
            let lately = refused.filter(|(_, last_s)| now_s - last_s < PROVED_S);
            *refused = Some((lately.map_or(now_s, |(first_s, _)| first_s), now_s));
            self.is_refused.store(true, Ordering::Relaxed);
        }
        Refused { may_be_wechat }
    }

    fn is_remembered(&self) -> bool {
        self.proved_s.load(Ordering::Relaxed) > 0 || self.is_refused.load(Ordering::Relaxed)
    }
}

impl Share {
    /// An authentic callback came by this connection. If others of its address were refused shortly before: from which
    /// second to which.
    pub fn prove(&self, now_s: i64) -> Option<(i64, i64)> {
        let (_, address) = self.address.as_ref()?;
        // Written once a second only: all cores read it.
        if address.proved_s.load(Ordering::Relaxed) != now_s {
            address.proved_s.store(now_s, Ordering::Relaxed);
        }
        if !address.is_refused.load(Ordering::Relaxed) {
            return None;
        }
        let mut refused = lock(&address.refused);
        address.is_refused.store(false, Ordering::Relaxed);
        let (from_s, last_s) = refused.take()?;
        (now_s - last_s < PROVED_S).then_some((from_s, last_s + 1))
    }
}

impl Drop for Share {
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

    fn shares(proxies: &[&str]) -> Arc<Shares> {
        let proxies: Vec<String> = proxies.iter().map(|text| (*text).to_owned()).collect();
        Shares::new(Networks::parse("proxies", &proxies).unwrap())
    }

    /// All that an address gets of so many places, some of which are taken.
    fn all(shares: &Arc<Shares>, peer: &str, free: &mut usize) -> Vec<Share> {
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
    fn no_addresses_together_take_all_places_except_proxies_and_this_machine() {
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
            "only those refused stay"
        );
    }

    #[test]
    fn a_refusal_is_wechats_if_a_callback_came_from_the_address_before_or_comes_soon_after() {
        let shares = shares(&[]);
        let take = |free, now_s| shares.take("198.51.100.1".parse().unwrap(), free, now_s);
        let share = take(0, 1_000).unwrap();
        assert_eq!(take(0, 1_001).unwrap_err(), Refused { may_be_wechat: false });
        assert_eq!(take(0, 1_003).unwrap_err(), Refused { may_be_wechat: false });
        assert_eq!(share.prove(1_005), Some((1_001, 1_004)));
        assert_eq!(share.prove(1_006), None, "said once");
        assert_eq!(take(0, 1_007).unwrap_err(), Refused { may_be_wechat: true });
        assert_eq!(take(0, 1_006 + PROVED_S).unwrap_err(), Refused { may_be_wechat: false });
        assert_eq!(share.prove(1_006 + 2 * PROVED_S), None, "too long ago");
    }

    #[test]
    fn what_is_remembered_of_addresses_is_bounded() {
        let shares = shares(&[]);
        for number in 0..u32::try_from(ADDRESSES_MAX).unwrap() + 10 {
            let share = shares.take(std::net::Ipv4Addr::from_bits(number).into(), 9, 1).unwrap();
            share.prove(1);
        }
        assert!(lock(&shares.addresses).len() <= ADDRESSES_MAX);
    }
}
