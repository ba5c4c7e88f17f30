//! Names of metrics, in one place.
//!
//! They are emitted through the [`metrics`] facade: a service installs the exporter that it
//! likes (for Prometheus, say), and without one they cost next to nothing. Durations are
//! histograms in seconds; names end in their unit, counters in `_total`.
//!
//! | Metric | Kind | Labels | |
//! |---|---|---|---|
//! | [`COMMANDS`] | counter | `aggregate_type`, `outcome` | commands by how they ended: `committed`, `unchanged`, `repeated`, `rejected`, `conflict`, `failed` |
//! | [`COMMAND_SECONDS`] | histogram | `aggregate_type` | from the call to the reply, with waiting for the aggregate |
//! | [`COMMAND_ATTEMPTS`] | histogram | `aggregate_type` | appends that a command needed; above 1: conflicts |
//! | [`CONFLICTS`] | counter | `aggregate_type` | appends that came second |
//! | [`APPEND_SECONDS`] | histogram | | reservation and batch, with their repeats |
//! | [`APPEND_REPEATS`] | counter | `step` | requests that were sent again: `reserve`, `apply` |
//! | [`COMMITS_COMPLETED`] | counter | | commits finished for another writer |
//! | [`CACHE_LOOKUPS`] | counter | `aggregate_type`, `result` | aggregates remembered (`hit`) or loaded (`miss`) |
//! | [`LOADED_EVENTS`] | histogram | `aggregate_type` | events read to load an aggregate |
//! | [`SNAPSHOTS`] | counter | `aggregate_type`, `result` | snapshots `used`, `written`, `dropped` (the queue was full), `failed`, `unreadable` |

/// Commands by how they ended.
pub const COMMANDS: &str = "messina_commands_total";
/// From the call of a command to its reply.
pub const COMMAND_SECONDS: &str = "messina_command_duration_seconds";
/// Appends that a command needed.
pub const COMMAND_ATTEMPTS: &str = "messina_command_attempts";
/// Appends that came second.
pub const CONFLICTS: &str = "messina_append_conflicts_total";
/// Reservation and batch of an append.
pub const APPEND_SECONDS: &str = "messina_append_duration_seconds";
/// Requests of appends that were sent again.
pub const APPEND_REPEATS: &str = "messina_append_repeats_total";
/// Commits finished for another writer.
pub const COMMITS_COMPLETED: &str = "messina_commits_completed_total";
/// Aggregates remembered or loaded.
pub const CACHE_LOOKUPS: &str = "messina_aggregate_cache_lookups_total";
/// Events read to load an aggregate.
pub const LOADED_EVENTS: &str = "messina_loaded_events";
/// Snapshots by what became of them.
pub const SNAPSHOTS: &str = "messina_snapshots_total";
