//! Standard output and standard error as commands write to them. A reader that has seen enough, such as `head`, is no error: what a command does
//! goes on unseen, to its end and with its status.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Stdout, Write},
};

/// Standard output.
#[derive(Debug)]
pub struct Screen(Stdout);

impl Default for Screen {
    fn default() -> Screen {
        Screen(io::stdout())
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_unseen(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        or_unseen(self.0.flush(), ())
    }
}

/// A line on standard error.
pub fn note(text: impl Display) {
    // Nobody is left to tell if this fails, too.
    let _ = writeln!(io::stderr(), "{text}");
}

fn or_unseen<T>(done: io::Result<T>, unseen: T) -> io::Result<T> {
    match done {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(unseen),
        done => done,
    }
}
