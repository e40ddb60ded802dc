//! The program `msgcube`.

use std::process::ExitCode;

use msgcube::args;

/// Callbacks are many small allocations on several threads, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    args::main()
}
