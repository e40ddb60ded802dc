//! `msgcube conformance`.

pub mod case;
pub mod complaint;
pub mod exchange;
pub mod expected;
pub mod request;
pub mod rows;
pub mod template;
