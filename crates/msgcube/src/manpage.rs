//! Shell completions and manual pages, both made from the command line's own description.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Command};
use clap_complete::Shell;
use i18n::Lang;
use i18n::text;

/// What `msgcube completions` takes.
#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// What `msgcube man` takes.
#[derive(Args)]
pub struct ManArgs {
    /// The folder to write them to
    pub dir: PathBuf,
}

/// Why they were not written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct ManError {
    path: PathBuf,
    source: io::Error,
}

/// Prints the script that completes commands and options.
pub fn completions(args: &CompletionsArgs, mut command: Command, out: &mut impl Write) -> io::Result<()> {
    // By way of memory: the generator itself stops the program when a reader has gone.
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

/// `man` takes a name without a slash for a title.
fn first_page(dir: &Path) -> PathBuf {
    std::path::absolute(dir).unwrap_or(dir.to_owned()).join("msgcube.1")
}
