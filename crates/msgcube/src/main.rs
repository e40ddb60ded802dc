//! The program `msgcube`.

use std::process::ExitCode;

use msgcube::args;

/// A callback makes many small allocations on several threads. The system's allocator is slow at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    args::main()
}
