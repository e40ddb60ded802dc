//! Shell completions and manual pages, both generated from the definition of the command line.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Command};
use clap_complete::Shell;
use i18n::{Lang, text};

/// Arguments of `msgcube completions`.
#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Arguments of `msgcube man`.
#[derive(Args)]
pub struct ManArgs {
    /// The folder to write them to
    pub dir: PathBuf,
}

/// A manual page cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct ManError {
    path: PathBuf,
    source: io::Error,
}

/// Prints the script that completes commands and options.
pub fn completions(args: &CompletionsArgs, mut command: Command, out: &mut impl Write) -> io::Result<()> {
    // Generate into memory first: the generator panics when the reader closes the pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "msgcube", &mut script);
    out.write_all(&script)
}

/// Writes a page for the program and for each of its commands.
pub fn man(args: &ManArgs, command: Command, lang: Lang, out: &mut impl Write) -> Result<(), ManError> {
    let error = |source| ManError { path: args.dir.clone(), source };
    std::fs::create_dir_all(&args.dir).map_err(error)?;
    clap_mangen::generate_to(command, &args.dir).map_err(error)?;
    let page = first_page(&args.dir);
    let text = text!("written; read them with").in_lang(lang);
    writeln!(out, "{text}: man -l {}", page.display()).map_err(error)
}

/// With a slash: `man` would take a name without one for a page title.
fn first_page(dir: &Path) -> PathBuf {
    std::path::absolute(dir).unwrap_or(dir.to_owned()).join("msgcube.1")
}
