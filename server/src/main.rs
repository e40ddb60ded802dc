//! The program `msgcube`.
fn main() {}
