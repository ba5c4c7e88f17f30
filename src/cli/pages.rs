//! Completions and manual pages, as clap knows them.

use clap::Command;
use clap_complete::Shell;

use crate::cli::error::{CommandLineError, Outcome};
use crate::cli::output;

pub(crate) fn completions(
    mut command: Command,
    name: &str,
    shell: Shell,
) -> Result<Outcome, CommandLineError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Outcome::Well)
}

pub(crate) fn manual(command: Command) -> Result<Outcome, CommandLineError> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|source| CommandLineError::System { what: "rendering the manual page", source })?;
    output::line(String::from_utf8_lossy(&page).trim_end())?;
    Ok(Outcome::Well)
}
