//! Limits the live streams, and ends all of them when the server stops.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use system::sync::lock;
use tokio::sync::watch;

/// Streams of one holder, such as an API key.
const STREAMS_OF_HOLDER_MAX: usize = 8;
/// Streams of all holders.
const STREAMS_MAX: usize = 256;

/// Counts the open streams by holder.
#[derive(Debug)]
pub struct LiveStreams {
    open: Mutex<HashMap<String, usize>>,
    has_ended: watch::Sender<bool>,
}

/// Permits one stream until it is dropped.
#[derive(Debug)]
pub struct LivePermit {
    streams: Arc<LiveStreams>,
    holder: String,
    has_ended: watch::Receiver<bool>,
}

/// Why no more stream may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManyStreams {
    /// The holder has as many as it may.
    #[error(
        "{STREAMS_OF_HOLDER_MAX} live streams are open with this key; close one of them, or use another key"
    )]
    OfHolder,
    /// All holders together have as many as they may.
    #[error("{STREAMS_MAX} live streams are open in all; close some of them, then try again")]
    InAll,
}

impl LiveStreams {
    /// Without open streams.
    pub fn new() -> Arc<LiveStreams> {
        Arc::new(LiveStreams { open: Mutex::default(), has_ended: watch::Sender::new(false) })
    }

    /// A permit for one more stream of this holder.
    ///
    /// # Errors
    ///
    /// If too many are open.
    pub fn open(self: &Arc<LiveStreams>, holder: &str) -> Result<LivePermit, TooManyStreams> {
        let mut open = lock(&self.open);
        if open.get(holder).is_some_and(|count| *count >= STREAMS_OF_HOLDER_MAX) {
            return Err(TooManyStreams::OfHolder);
        }
        if open.values().sum::<usize>() >= STREAMS_MAX {
            return Err(TooManyStreams::InAll);
        }
        *open.entry(holder.to_owned()).or_default() += 1;
        drop(open);
        let has_ended = self.has_ended.subscribe();
        Ok(LivePermit { streams: self.clone(), holder: holder.to_owned(), has_ended })
    }

    /// Ends all streams, also those that are opened later.
    pub fn end(&self) {
        self.has_ended.send_replace(true);
    }
}

impl LivePermit {
    /// Waits until the server ends all streams.
    pub async fn ended(&mut self) {
        // This fails only when the server is gone.
        let _ = self.has_ended.wait_for(|has_ended| *has_ended).await;
    }
}

impl Drop for LivePermit {
    fn drop(&mut self) {
        let mut open = lock(&self.streams.open);
        match open.get_mut(&self.holder) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.holder)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_takes_eight_and_all_take_256_and_each_comes_back() {
        let streams = LiveStreams::new();
        for _ in 0..2 {
            let mut held = Vec::new();
            for holder in 0..32 {
                held.extend((0..8).map(|_| streams.open(&holder.to_string()).unwrap()));
                assert_eq!(streams.open(&holder.to_string()).unwrap_err(), TooManyStreams::OfHolder);
            }
            assert_eq!(streams.open("other").unwrap_err(), TooManyStreams::InAll);
            held.pop();
            assert!(streams.open("other").is_ok());
        }
        assert!(lock(&streams.open).is_empty());
    }

    #[tokio::test]
    async fn all_streams_end_also_those_that_are_opened_later() {
        let streams = LiveStreams::new();
        let mut before = streams.open("one").unwrap();
        streams.end();
        before.ended().await;
        streams.open("one").unwrap().ended().await;
    }
}
