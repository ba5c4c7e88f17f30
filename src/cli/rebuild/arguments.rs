//! What the command takes.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::cli::output::Output;
use crate::ids::AggregateId;
use crate::projection::{OnError, RebuildMode};

/// Rebuilds one read model: replays all events into new tables, brings them level with the
/// log, compares them with a second replay, and has queries go to them. All groups go on
/// meanwhile.
///
/// Ctrl-C or SIGTERM interrupts it: what is done is kept, and the same command goes on.
///
/// Exit codes: 0 done (verify: every row is as a replay makes it); 1 something failed, said
/// on standard error; 2 the flags or the configuration make no sense; 3 verify found rows
/// that differ; 130 interrupted.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Arguments {
    /// Show the causes of an error too
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,

    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// The projection
    #[arg(required = true)]
    pub(super) name: Option<String>,

    #[command(flatten)]
    pub(super) rebuild: RebuildArguments,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Compare a read model's tables with a replay, row by row; changes nothing
    Verify {
        /// The projection
        name: String,

        #[command(flatten)]
        work: Work,
    },
    /// Print a shell's completions
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Args)]
pub(super) struct Work {
    /// How many ranges of the token ring are read at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) parallel: u16,

    /// Replay at most so many events per second
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rate: Option<u32>,

    /// What to do with an event that cannot be handled: stop or skip
    #[arg(long, default_value = "stop")]
    pub(super) on_error: OnError,

    /// Form of the summary
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct RebuildArguments {
    #[command(flatten)]
    pub(super) work: Work,

    /// beside: into new tables; in-place: over the rows that are there; truncate: into
    /// emptied tables
    #[arg(long, default_value = "beside")]
    pub(super) mode: RebuildMode,

    /// Begin at the beginning also if an interrupted rebuild could be gone on with
    #[arg(long)]
    pub(super) from_scratch: bool,

    /// Replay this aggregate's events only (with --mode in-place)
    #[arg(long, value_name = "ID")]
    pub(super) only_aggregate: Option<AggregateId>,

    /// Have queries go to the new tables without comparing them first
    #[arg(long)]
    pub(super) no_verify: bool,

    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Drop versions that queries have left, instead of rebuilding
    #[arg(long, conflicts_with_all = ["dry_run", "from_scratch", "only_aggregate"])]
    pub(super) drop_old: bool,

    /// Do not ask before emptying or dropping tables
    #[arg(long, short)]
    pub(super) yes: bool,
}
