//! The program `msgcube`.

use std::process::ExitCode;

use clap::Parser as _;
use msgcube::cli::{self, Cli};

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
