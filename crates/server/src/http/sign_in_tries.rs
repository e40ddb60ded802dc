//! Limits tries to sign in on the pages. A shared store counts them for all processes.

use std::{collections::VecDeque, net::IpAddr, sync::Mutex};

use storage::store::{NotDurable, SharedCount, Store};
use system::sync::lock;

/// The time that the limits below hold for, in seconds.
pub const PERIOD_S: i64 = 60;
/// Tries of all addresses in that time.
const TRIES_MAX: u32 = 60;
/// Tries of one address in that time.
const TRIES_OF_ADDRESS_MAX: u32 = 5;
/// The tries of all addresses, in a shared store.
const OF_ALL: &str = "sign_in";

/// The tries of the last minute: when (Unix seconds), and from which address. None: an address that many people share.
#[derive(Debug, Default)]
pub struct SignInTries(Mutex<VecDeque<(i64, Option<IpAddr>)>>);

impl SignInTries {
    /// Counts a try in all processes that share the store. False if there were too many.
    ///
    /// # Errors
    /// If a shared store cannot be reached. Then nobody may try.
    pub async fn take_of_all(
        &self,
        address: Option<IpAddr>,
        now_s: i64,
        store: &Store,
    ) -> Result<bool, NotDurable> {
        if let Some(of_address) = address.map(of_address)
            && store.try_count(&of_address, PERIOD_S, TRIES_OF_ADDRESS_MAX).await? == SharedCount::Refused
        {
            return Ok(false);
        }
        match store.try_count(OF_ALL, PERIOD_S, TRIES_MAX).await? {
            SharedCount::Alone => Ok(self.take(address, now_s)),
            SharedCount::Taken => Ok(true),
            SharedCount::Refused => {
                if let Some(of_address) = address.map(of_address) {
                    store.try_back(&of_address).await?;
                }
                Ok(false)
            }
        }
    }

    /// Takes back a try whose key was right.
    ///
    /// # Errors
    /// If a shared store cannot be reached. Then the try stays counted.
    pub async fn give_back_of_all(&self, address: Option<IpAddr>, store: &Store) -> Result<(), NotDurable> {
        if !store.is_shared() {
            self.give_back(address);
            return Ok(());
        }
        store.try_back(OF_ALL).await?;
        match address.map(of_address) {
            Some(of_address) => store.try_back(&of_address).await,
            None => Ok(()),
        }
    }

    /// Counts a try in this process. False if there were too many.
    fn take(&self, address: Option<IpAddr>, now_s: i64) -> bool {
        let mut tries = lock(&self.0);
        // After the clock was set back, tries of the future would stay forever.
        tries.retain(|(at_s, _)| (0..PERIOD_S).contains(&(now_s - at_s)));
        let of_address = tries.iter().filter(|(_, other)| address.is_some() && *other == address).count();
        if tries.len() >= TRIES_MAX as usize || of_address >= TRIES_OF_ADDRESS_MAX as usize {
            return false;
        }
        tries.push_back((now_s, address));
        true
    }

    fn give_back(&self, address: Option<IpAddr>) {
        let mut tries = lock(&self.0);
        if let Some(at) = tries.iter().rposition(|(_, other)| *other == address) {
            tries.remove(at);
        }
    }
}

/// The tries of an address, in a shared store.
fn of_address(address: IpAddr) -> String {
    format!("{OF_ALL}/{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_five_tries_a_minute_and_all_have_sixty() {
        let tries = SignInTries::default();
        let address = |number: u8| Some(IpAddr::from([192, 0, 2, number]));
        assert_eq!((0..10).filter(|_| tries.take(address(0), 0)).count(), 5);
        assert!(tries.take(address(1), 0), "others are not affected");
        tries.give_back(address(0));
        assert!(tries.take(address(0), 59) && !tries.take(address(0), 59));
        assert_eq!((0..10).filter(|_| tries.take(address(0), 60)).count(), 4, "one is younger");
        assert_eq!((0..100).filter(|number| tries.take(address(*number), 119)).count(), 56);
        assert!(!tries.take(None, 119) && tries.take(None, 179));
        assert!(tries.take(None, 0) && lock(&tries.0).len() == 1, "the clock was set back");
        assert_eq!(
            (0..100).filter(|_| tries.take(None, 0)).count(),
            59,
            "shared addresses have no limit of their own"
        );
    }
}
