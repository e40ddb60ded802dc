//! The metrics of `/metrics`, in the Prometheus text format. All label values but those of
//! [`crate::account_metrics`] are fixed in the code, so their number is bounded.

use std::{sync::Mutex, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::account_metrics::{self, AccountLevel, RelayEnd};

/// All metrics of the process. Cheap to update from any thread.
#[derive(Debug)]
pub struct Metrics {
    callbacks: Family<CallbackLabels, Counter>,
    calls: Family<CallLabels, Counter>,
    cloud_calls: Family<CallbackLabels, Counter>,
    relays: Family<RelayLabels, Counter>,
    relay_seconds: Histogram,
    copies: Family<ResultLabels, Counter>,
    consents: Family<CallbackLabels, Counter>,
    pushes: Family<PushLabels, Counter>,
    copies_bytes: Gauge,
    gateway: Family<ResultLabels, Counter>,
    gateway_seconds: Histogram,
    tokens_fetched: Family<TokenLabels, Counter>,
    commits: Family<ResultLabels, Counter>,
    commit_seconds: Histogram,
    commit_jobs: Histogram,
    messages: Counter,
    duplicates: Counter,
    quarantined: Family<ReasonLabels, Counter>,
    bulk_rejected: Counter,
    durable: Gauge,
    queue_depth: Gauge,
    waiting: Gauge,
    relays_waiting: Gauge,
    log_bytes: Gauge,
    page_bytes: Gauge,
    memory_bytes: Gauge,
    gaps: Gauge,
    bridged_stops: Gauge,
    registry: Mutex<Registry>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallbackLabels {
    result: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RelayLabels {
    result: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    interface: &'static str,
    errcode: i64,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PushLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TokenLabels {
    mode: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// Current sizes. They are read when `/metrics` is requested.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    /// Messages can be made durable.
    pub is_durable: bool,
    /// All accounts.
    pub accounts: Vec<AccountLevel>,
    /// Jobs that wait for the writer.
    pub queue_depth: usize,
    /// Callbacks that wait for the disk.
    pub waiting: usize,
    /// Callbacks that are being relayed to a target.
    pub relays_waiting: usize,
    /// Bytes of copies that wait for delivery to listeners.
    pub copies_bytes: u64,
    /// Sizes of the store.
    pub sizes: crate::store::Sizes,
    /// Short planned stops of all accounts. They count as covered.
    pub bridged_stops: usize,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let seconds = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
        let jobs = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];
        let metrics = Metrics {
            callbacks: Family::default(),
            calls: Family::default(),
            cloud_calls: Family::default(),
            relays: Family::default(),
            relay_seconds: Histogram::new(seconds),
            copies: Family::default(),
            consents: Family::default(),
            pushes: Family::default(),
            copies_bytes: Gauge::default(),
            gateway: Family::default(),
            gateway_seconds: Histogram::new(seconds),
            tokens_fetched: Family::default(),
            commits: Family::default(),
            commit_seconds: Histogram::new(seconds),
            commit_jobs: Histogram::new(jobs),
            messages: Counter::default(),
            duplicates: Counter::default(),
            quarantined: Family::default(),
            bulk_rejected: Counter::default(),
            durable: Gauge::default(),
            queue_depth: Gauge::default(),
            waiting: Gauge::default(),
            relays_waiting: Gauge::default(),
            log_bytes: Gauge::default(),
            page_bytes: Gauge::default(),
            memory_bytes: Gauge::default(),
            gaps: Gauge::default(),
            bridged_stops: Gauge::default(),
            registry: Mutex::new(Registry::with_prefix("msgcube")),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut registry = system::sync::lock(&self.registry);
        registry.register("callbacks", "Callbacks by result and reason", self.callbacks.clone());
        registry.register("calls", "Calls of WeChat's interfaces by name and errcode", self.calls.clone());
        let cloud = "Cloud calls by result and reason";
        registry.register("cloud_calls", cloud, self.cloud_calls.clone());
        let consents = "Decisions on the consent page by result and reason";
        registry.register("consents", consents, self.consents.clone());
        let relays = "Callbacks passed on, by result and class of status";
        registry.register("relays", relays, self.relays.clone());
        let relay = "Time the target took with a callback that was passed on";
        registry.register_with_unit("relay", relay, Unit::Seconds, self.relay_seconds.clone());
        registry.register("copies", "Copies for listeners, by result", self.copies.clone());
        let pushes = "Pushes to third-party platforms, by kind and result";
        registry.register("component_pushes", pushes, self.pushes.clone());
        let copies = "Copies that wait for listeners, and events that wait for third-party platforms";
        registry.register_with_unit("copies_waiting", copies, Unit::Bytes, self.copies_bytes.clone());
        registry.register("gateway", "Calls forwarded to WeChat, by result", self.gateway.clone());
        let gateway = "Time until WeChat began to answer a forwarded call";
        registry.register_with_unit("gateway", gateway, Unit::Seconds, self.gateway_seconds.clone());
        let fetched = "Real tokens asked for, by mode and result";
        registry.register("real_tokens_fetched", fetched, self.tokens_fetched.clone());
        let waiting = "Callbacks that are being passed on";
        registry.register("relays_waiting", waiting, self.relays_waiting.clone());
        registry.register("commits", "Batches written, by result", self.commits.clone());
        let commit = "Time a batch took to become durable";
        registry.register_with_unit("commit", commit, Unit::Seconds, self.commit_seconds.clone());
        registry.register("commit_jobs", "Callbacks and bulk chunks in a batch", self.commit_jobs.clone());
        registry.register("messages", "Messages and events counted since the start", self.messages.clone());
        registry.register("duplicates", "Repeats that were not counted again", self.duplicates.clone());
        registry.register(
            "aside",
            "Messages stored without being counted, by reason",
            self.quarantined.clone(),
        );
        registry.register(
            "bulk_rejected_lines",
            "Bulk lines that could not be read",
            self.bulk_rejected.clone(),
        );
        registry.register("durable", "1 if messages can be made durable", self.durable.clone());
        registry.register(
            "queue_depth",
            "Callbacks and bulk chunks that wait for the writer",
            self.queue_depth.clone(),
        );
        registry.register("callbacks_waiting", "Callbacks that wait for the disk", self.waiting.clone());
        let log = "Log that a restart would replay";
        registry.register_with_unit("store_log", log, Unit::Bytes, self.log_bytes.clone());
        registry.register_with_unit("store_pages", "Pages on disk", Unit::Bytes, self.page_bytes.clone());
        registry.register_with_unit(
            "store_memory",
            "Users and pages in memory",
            Unit::Bytes,
            self.memory_bytes.clone(),
        );
        registry.register("gaps", "Gaps in the coverage of all accounts", self.gaps.clone());
        let bridged = "Short planned stops of all accounts, covered by WeChat's retries";
        registry.register("bridged_stops", bridged, self.bridged_stops.clone());
    }

    /// Counts a callback that was answered, refused or closed.
    pub fn callback(&self, result: &'static str, reason: &'static str) {
        self.callbacks.get_or_create(&CallbackLabels { result, reason }).inc();
    }

    /// Counts a call of one of the seven interfaces. `errcode` is 0 for success.
    pub fn call(&self, interface: &'static str, errcode: i32) {
        self.calls.get_or_create(&CallLabels { interface, errcode: i64::from(errcode) }).inc();
    }

    /// Counts a cloud call that was answered or refused.
    pub fn cloud_call(&self, result: &'static str, reason: &'static str) {
        self.cloud_calls.get_or_create(&CallbackLabels { result, reason }).inc();
    }

    /// Counts a decision on a consent page, or a failed one.
    pub fn consent(&self, result: &'static str, reason: &'static str) {
        self.consents.get_or_create(&CallbackLabels { result, reason }).inc();
    }

    /// Counts a callback that was relayed, or that could not be. `status` is a class such as `2xx`; it is empty if
    /// there was no response.
    pub fn relayed(&self, end: RelayEnd, status: &'static str, took: Duration) {
        self.relays.get_or_create(&RelayLabels { result: end.name(), status }).inc();
        self.relay_seconds.observe(took.as_secs_f64());
    }

    /// Counts copies for listeners: stored, delivered, or failed.
    pub fn copied(&self, result: &'static str, copies: u64) {
        self.copies.get_or_create(&ResultLabels { result }).inc_by(copies);
    }

    /// Counts a push to a third-party platform: stored, delivered, or failed.
    pub fn pushed(&self, kind: &'static str, result: &'static str) {
        self.pushes.get_or_create(&PushLabels { kind, result }).inc();
    }

    /// Counts a call that was forwarded to WeChat, or that could not be.
    pub fn passed_on(&self, result: &'static str, took: Duration) {
        self.gateway.get_or_create(&ResultLabels { result }).inc();
        self.gateway_seconds.observe(took.as_secs_f64());
    }

    /// Counts a request for a real token. `is_there`: a token was returned.
    pub fn token_fetched(&self, mode: &'static str, is_there: bool) {
        let result = if is_there { "fetched" } else { "failed" };
        self.tokens_fetched.get_or_create(&TokenLabels { mode, result }).inc();
    }

    /// Counts a batch of the writer. `jobs`: callbacks and bulk chunks in it.
    pub fn commit(&self, took: Duration, jobs: usize, is_durable: bool) {
        let result = if is_durable { "durable" } else { "failed" };
        self.commits.get_or_create(&ResultLabels { result }).inc();
        self.commit_seconds.observe(took.as_secs_f64());
        self.commit_jobs.observe(f64::from(u32::try_from(jobs).unwrap_or(u32::MAX)));
    }

    /// Counts messages and events that were new.
    pub fn counted(&self, messages: usize) {
        self.messages.inc_by(messages as u64);
    }

    /// Counts repeats. They do not change any figure.
    pub fn repeated(&self, messages: usize) {
        self.duplicates.inc_by(messages as u64);
    }

    /// Counts a message that was stored without being counted.
    pub fn quarantined(&self, reason: &'static str) {
        self.quarantined.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts lines of a bulk upload that could not be read.
    pub fn rejected(&self, lines: usize) {
        self.bulk_rejected.inc_by(lines as u64);
    }

    /// All metrics in the Prometheus text format.
    pub fn text(&self, levels: &Levels) -> String {
        let set = |gauge: &Gauge, value: u64| {
            let _ = gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.durable, u64::from(levels.is_durable));
        set(&self.queue_depth, levels.queue_depth as u64);
        set(&self.waiting, levels.waiting as u64);
        set(&self.copies_bytes, levels.copies_bytes);
        set(&self.relays_waiting, levels.relays_waiting as u64);
        set(&self.log_bytes, levels.sizes.log_bytes);
        set(&self.page_bytes, levels.sizes.page_bytes);
        set(&self.memory_bytes, levels.sizes.memory_bytes);
        set(&self.gaps, levels.accounts.iter().map(|account| account.gaps as u64).sum());
        set(&self.bridged_stops, levels.bridged_stops as u64);
        let mut written = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode_registry(&mut written, &system::sync::lock(&self.registry));
        let _ = text::encode(&mut written, &account_metrics::registry(&levels.accounts));
        written
    }
}
