//! The library behind the program `msgcube`.

pub mod lang;
pub mod store;
