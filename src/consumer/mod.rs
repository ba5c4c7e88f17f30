//! Consumer groups: independent followers of the outbox through its CDC log.
//!
//! ```text
//! CDC log ── sweep      one scylla-cdc reader per group, a safety interval behind: completeness
//!         └─ tail       one poller per process, close to now: latency, a hint only
//!               ↓
//!            sequencer  per aggregate: drops duplicates, closes gaps from event_store
//!               ↓
//!            lanes      in order per aggregate, parallel across; retry
//!               ↓
//!            progress   a checkpoint never passes an event that is not done
//! ```

mod background;
mod checkpoints;
mod control;
mod dead_letters;
mod drain;
mod error;
mod fence;
mod group;
mod group_metrics;
mod group_table;
mod handler;
mod intake;
mod join;
mod lane_context;
mod lane_requests;
mod lanes;
mod lease;
mod log_query;
mod log_reader;
mod log_row;
mod log_streams;
mod members;
mod once;
mod once_table;
mod progress;
mod replay;
mod replay_table;
mod restarts;
mod run;
mod run_replay;
mod sequencer;
mod settings;
mod slice;
mod status;
mod status_table;
mod stored_progress;
mod stream_id;
mod supervise;
mod sweep;
mod tail;
mod upcasting;

pub use control::{ControlError, GroupControl, GroupOverview};
pub use dead_letters::{
    DeadLetter, DeadLetterError, DeadLetterPage, DeadLetters, PageToken, RequestId,
};
pub use error::GroupError;
pub use group::{ConsumerGroup, GroupBuilder, RunningGroup};
pub use handler::{EventHandler, Handled, HandlerError};
pub use once::{Once, OnceError, OnceKey, Ran, Unconfirmed};
pub use settings::{GroupSettings, PoisonPolicy, StartFrom, TailSettings};
pub use slice::Slice;
pub use status::{GroupState, GroupStatus};
pub use status_table::SliceStatus;
pub use stored_progress::SliceProgress;

pub(crate) use background::Background;
pub(crate) use checkpoints::{Checkpoints, Found};
pub(crate) use drain::drain;
pub(crate) use fence::Fence;
pub(crate) use group::host;
pub(crate) use lane_context::panicked;
pub(crate) use lease::{Lease, LeaseTable, Watched, check_ttl};
#[cfg(feature = "cli")]
pub(crate) use log_query::STREAMS_PER_QUERY;
pub(crate) use log_reader::{LogOf, LogReader, Pace};
pub(crate) use log_streams::LogStreams;
pub(crate) use progress::{Millis, Progress, StreamId, Ticket};
pub(crate) use restarts::Restarts;
#[cfg(feature = "cli")]
pub(crate) use run::LOG_TTL;
pub(crate) use stream_id::CurrentStream;
#[cfg(feature = "cli")]
pub(crate) use tail::Tail;
