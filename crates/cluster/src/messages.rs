//! Messages in ClickHouse.
