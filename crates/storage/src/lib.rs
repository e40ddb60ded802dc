//! Where messages become durable and are counted. Knows nothing of HTTP, of signatures or of the clock.

pub mod backup;
pub mod metrics;
pub mod planned_stop;
pub mod store;
pub mod writer;
