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
    /// How the groups are doing, wherever they run
    Status {
        /// Again and again, so far apart (1.5s at least), until Ctrl-C
        #[arg(
            long,
            value_name = "TIME",
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "2s"
        )]
        watch: Option<humantime::Duration>,
        /// Form of the output
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Pause a group: its runners finish what they have begun and stand by, also after restarts
    Pause {
        /// The group
        group: String,
        /// How long its runners may take to finish what they have begun
        #[arg(long, default_value = "40s", value_name = "TIME")]
        wait: humantime::Duration,
    },
    /// Let a paused group go on where it was
    Resume {
        /// The group
        group: String,
    },
    /// End a group in the runners that are up now; started again, it runs
    Stop {
        /// The group
        group: String,
    },
    /// Divide a paused group's aggregates among so many slices, for several runners
    Slices {
        /// The group
        group: String,
        /// How many; each costs a reader of the log
        #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
        slices: u16,
    },
    /// How far each group is stored to be
    #[command(subcommand)]
    Checkpoints(CheckpointsCommand),
    /// Events that a group could not handle: look, retry, discard
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
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
    /// Set a paused group back, or forward, to a time: what was written from then on is
    /// handled (again)
    Reset {
        /// The group
        group: String,
        /// 2026-03-04T05:06:07Z, or 2h for two hours ago
        #[arg(long, value_name = "TIME")]
        to: String,
    },
    /// Show the stored checkpoints
    Show {
        /// Of this group only
        group: Option<String>,
        /// Form of the output
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

/// How long the runner may take to do what is asked.
const WAIT: &str = "10s";

#[derive(Debug, Subcommand)]
pub(super) enum DeadLettersCommand {
    /// List a group's letters
    List {
        /// The group
        group: String,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Form of the output; json: a line per letter
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Show one letter with its event and its error's causes
    Show {
        /// The group
        group: String,
        /// Whose event
        aggregate: AggregateId,
        /// Which event
        sequence: i64,
        /// Form of the output
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Try again: one event, an aggregate's letters in order, or all
    ///
    /// The group's runner does it, in the aggregate's order. Exit code 3: an event failed
    /// again.
    Retry {
        /// The group
        group: String,
        /// Whose letters
        aggregate: Option<AggregateId>,
        /// Only this event
        #[arg(requires = "aggregate")]
        sequence: Option<i64>,
        /// The letters of every aggregate
        #[arg(long, conflicts_with = "aggregate")]
        all: bool,
        /// How long the runner may take
        #[arg(long, default_value = WAIT, value_name = "TIME")]
        wait: humantime::Duration,
    },
    /// Delete letters: the group never handles these events
    Discard {
        /// The group
        group: String,
        /// Whose letters
        aggregate: AggregateId,
        /// Only this event
        sequence: Option<i64>,
        /// How long the runner may take
        #[arg(long, default_value = WAIT, value_name = "TIME")]
        wait: humantime::Duration,
    },
}

impl DeadLettersCommand {
    pub(super) fn group(&self) -> &str {
        match self {
            Self::List { group, .. }
            | Self::Show { group, .. }
            | Self::Retry { group, .. }
            | Self::Discard { group, .. } => group,
        }
    }
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
    /// Events as they are written, until Ctrl-C
    ///
    /// What becomes visible more than a second late is not shown.
    Tail {
        /// Only this type of event
        #[arg(long = "type", value_name = "TYPE")]
        event_type: Option<String>,
        /// Form of the output; json: a line per event
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}
