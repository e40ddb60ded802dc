//! The library behind the program `msgcube`.

pub mod callback;
pub mod lang;
pub mod store;
