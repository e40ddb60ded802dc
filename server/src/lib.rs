//! The library behind the program `msgcube`.

pub mod import;
pub mod lang;
pub mod query;
pub mod table;
