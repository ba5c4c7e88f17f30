//! The commands and what they take.

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::cli::output::Output;
use crate::ids::AggregateId;

/// Runs a service's consumer groups, and looks after them.
///
/// Exit codes: 0 all is well; 1 something failed, said on standard error; 2 the flags or the
/// configuration make no sense; 3 it was looked, and something is not as it should be
/// (schema verify, doctor).
#[derive(Debug, Parser)]
pub(super) struct Arguments {
    /// Show the causes of an error too
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the groups until SIGINT or SIGTERM (also without a command)
    Run,
    /// How far each group is
    #[command(subcommand)]
    Checkpoints(CheckpointsCommand),
    /// The tables
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Events as they are stored
    #[command(subcommand)]
    Events(EventsCommand),
    /// Look at everything that the groups need, and say what to do
    Doctor {
        /// Form of the output
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Print a shell's completions
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Subcommand)]
pub(super) enum CheckpointsCommand {
    /// Show the stored checkpoints
    Show {
        /// Of this group only
        group: Option<String>,
        /// Form of the output
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum SchemaCommand {
    /// Create the keyspace if it is not there and apply missing migrations
    Apply,
    /// Compare what is deployed with what is needed; changes nothing
    Verify,
}

#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// An aggregate's events, in order
    Show {
        /// The aggregate's id
        aggregate: AggregateId,
        /// From this sequence number
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
        from: i64,
        /// To this sequence number; to the last unless given
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
        to: Option<i64>,
        /// Form of the output; json: a line per event
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}
