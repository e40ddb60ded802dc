//! The settings of statements. Whatever a user's profile says, an answer is whole and a confirmed insert is stored.

use clickhouse::{Client, error::Error};

/// A setting and its value.
pub type Setting = (&'static str, &'static str);

/// Settings of reads.
const READS: &[Setting] = &[
    // The server answers once it has everything, so an error in the middle is an error.
    ("wait_end_of_query", "1"),
    // It keeps the answer in memory until then: on a full disk a file of it would be cut short without an error.
    ("http_response_buffer_size", "16000000"),
    ("cancel_http_readonly_queries_on_client_close", "1"),
    // One question must not take the whole server.
    ("max_threads", "2"),
    ("max_execution_time", "30"),
    ("max_memory_usage", "4000000000"),
    ("max_bytes_before_external_group_by", "2000000000"),
    // A limit of a profile must not cut an answer short.
    ("read_overflow_mode", "throw"),
    ("group_by_overflow_mode", "throw"),
    ("sort_overflow_mode", "throw"),
    ("result_overflow_mode", "throw"),
    ("set_overflow_mode", "throw"),
    ("distinct_overflow_mode", "throw"),
    ("timeout_overflow_mode", "throw"),
    ("limit", "0"),
    ("offset", "0"),
    // An old answer is a wrong one.
    ("use_query_cache", "0"),
    // A row's partition follows from its identity, so partitions need no merge with each other.
    ("do_not_merge_across_partitions_select_final", "1"),
    // A filter on a column that is not part of the key must see merged rows only.
    ("optimize_move_to_prewhere_if_final", "0"),
];

/// Settings of inserts.
const INSERTS: &[Setting] = &[
    ("wait_end_of_query", "1"),
    ("async_insert", "0"),
    ("insert_quorum_parallel", "1"),
    // Rows find their repeats themselves. A skipped block would have a second way to be confirmed.
    ("insert_deduplicate", "0"),
    ("insert_keeper_max_retries", "2"),
    ("max_partitions_per_insert_block", "0"),
    ("max_execution_time", "30"),
];

/// Settings of reads that not every version has.
const NEWER_READS: &[Setting] =
    &[("enable_parallel_replicas", "0"), ("allow_experimental_parallel_reading_from_replicas", "0")];

/// Settings of inserts that not every version has. Since 26 the first one goes before `insert_deduplicate`.
const NEWER_INSERTS: &[Setting] = &[("deduplicate_insert", "disable")];

/// The settings that one server knows.
#[derive(Clone, Debug)]
pub struct KnownSettings {
    /// Settings of reads.
    pub reads: Vec<Setting>,
    /// Settings of inserts.
    pub inserts: Vec<Setting>,
}

impl KnownSettings {
    /// Asks a server which of the newer settings it knows.
    pub async fn ask(client: &Client) -> Result<KnownSettings, Error> {
        let newer: Vec<&str> = NEWER_READS.iter().chain(NEWER_INSERTS).map(|(name, _)| *name).collect();
        let known = client.query("SELECT name FROM system.settings WHERE name IN ?").bind(newer);
        let known: Vec<String> = known.fetch_all().await?;
        let with = |always: &[Setting], newer: &[Setting]| {
            let newer = newer.iter().filter(|(name, _)| known.iter().any(|known| known == name));
            always.iter().chain(newer).copied().collect()
        };
        Ok(KnownSettings { reads: with(READS, NEWER_READS), inserts: with(INSERTS, NEWER_INSERTS) })
    }
}
