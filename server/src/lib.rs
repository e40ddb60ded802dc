//! The library behind the program `msgcube`.

pub mod demo;
pub mod lang;
