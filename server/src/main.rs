//! The program `msgcube`.

use std::process::ExitCode;

use msgcube::cli;

/// Callbacks are many small allocations on several threads, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
