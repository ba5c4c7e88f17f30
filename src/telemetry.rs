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
//!
//! Of consumer groups, each second, by the process that runs or last ran a slice; labels
//! `group` and `slice` (`0/1`: the first of one), unless said otherwise:
//!
//! | Metric | Kind | |
//! |---|---|---|
//! | [`GROUP_LAG_SECONDS`] | gauge | how far the watermark is behind now, never below the safety interval; 0 of a slice that runs elsewhere, so take the largest of all processes |
//! | [`GROUP_IN_FLIGHT`] | gauge | lag in events: read and not done |
//! | [`GROUP_HANDLED`] | counter | events handled |
//! | [`GROUP_RETRIES`] | counter | attempts that failed and were repeated |
//! | [`GROUP_DEAD_LETTERS`] | counter | events that went to the dead letters |
//! | [`GROUP_LETTERS_RETRIED`] | counter | dead letters that were retried and then worked |
//! | [`GROUP_PARKED`] | gauge | aggregates that wait behind a dead letter |
//! | [`GROUP_REPAIRED`] | counter | gaps repaired: events that the log did not show in time, found in `event_store` |
//! | [`GROUP_LATE`] | counter | late rows: events that the sweep brought and the tail had not shown |
//! | [`GROUP_DUPLICATES`] | counter | events that came again and were dropped |
//! | [`GROUP_HINTS_LOST`] | counter | events that the tail showed and the group could not take |
//! | [`GROUP_FOLLOWING`] | gauge | 1: events come by the tail, within milliseconds |
//! | [`GROUP_REPLAYING`] | gauge | 1: it handles what `event_store` holds, before the log |
//! | [`GROUP_LEASE_HELD`] | gauge | 1: the slice runs in this process |
//! | [`GROUP_LEASES_LOST`] | counter | leases that lapsed or were taken, and were not given back |
//! | [`GROUP_HALTED`] | gauge | label `group` alone; 1: the group has ended with an error and waits for someone |
//!
//! Of subscriptions to changes, each second, by the process that runs or last ran one; label
//! `subscription`:
//!
//! | Metric | Kind | |
//! |---|---|---|
//! | [`SUBSCRIPTION_LAG_SECONDS`] | gauge | how far the watermark is behind now, never below the safety interval; 0 of one that runs elsewhere |
//! | [`SUBSCRIPTION_IN_FLIGHT`] | gauge | changes read and not done |
//! | [`SUBSCRIPTION_HANDLED`] | counter | changes handled |
//! | [`SUBSCRIPTION_FILTERED`] | counter | changes that were not asked for, by operation or filter |
//! | [`SUBSCRIPTION_RETRIES`] | counter | attempts that failed and were repeated |
//! | [`SUBSCRIPTION_SKIPPED`] | counter | changes that were poison and passed over |
//! | [`SUBSCRIPTION_LEASE_HELD`] | gauge | 1: it runs in this process |
//! | [`SUBSCRIPTION_LEASES_LOST`] | counter | leases that lapsed or were taken, and were not given back |
//! | [`SUBSCRIPTION_HALTED`] | gauge | 1: it has ended with an error and waits for someone |

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
/// How far a slice is behind.
pub const GROUP_LAG_SECONDS: &str = "messina_group_lag_seconds";
/// Events read and not done.
pub const GROUP_IN_FLIGHT: &str = "messina_group_in_flight_events";
/// Events handled.
pub const GROUP_HANDLED: &str = "messina_group_handled_total";
/// Attempts that were repeated.
pub const GROUP_RETRIES: &str = "messina_group_retries_total";
/// Events that went to the dead letters.
pub const GROUP_DEAD_LETTERS: &str = "messina_group_dead_letters_total";
/// Dead letters that worked when retried.
pub const GROUP_LETTERS_RETRIED: &str = "messina_group_dead_letters_retried_total";
/// Aggregates that wait behind a dead letter.
pub const GROUP_PARKED: &str = "messina_group_parked_aggregates";
/// Events found in `event_store`.
pub const GROUP_REPAIRED: &str = "messina_group_repaired_total";
/// Events that the sweep brought and the tail had not shown.
pub const GROUP_LATE: &str = "messina_group_late_total";
/// Events that came again.
pub const GROUP_DUPLICATES: &str = "messina_group_duplicates_total";
/// Events that the tail showed and the group could not take.
pub const GROUP_HINTS_LOST: &str = "messina_group_hints_lost_total";
/// Whether events come by the tail.
pub const GROUP_FOLLOWING: &str = "messina_group_following";
/// Whether a slice is handling what `event_store` holds.
pub const GROUP_REPLAYING: &str = "messina_group_replaying";
/// Whether a slice runs in this process.
pub const GROUP_LEASE_HELD: &str = "messina_group_lease_held";
/// Leases lost.
pub const GROUP_LEASES_LOST: &str = "messina_group_leases_lost_total";
/// Whether a group has ended with an error.
pub const GROUP_HALTED: &str = "messina_group_halted";
/// How far a subscription is behind.
pub const SUBSCRIPTION_LAG_SECONDS: &str = "messina_subscription_lag_seconds";
/// Changes read and not done.
pub const SUBSCRIPTION_IN_FLIGHT: &str = "messina_subscription_in_flight_changes";
/// Changes handled.
pub const SUBSCRIPTION_HANDLED: &str = "messina_subscription_handled_total";
/// Changes that were not asked for.
pub const SUBSCRIPTION_FILTERED: &str = "messina_subscription_filtered_total";
/// Attempts that were repeated.
pub const SUBSCRIPTION_RETRIES: &str = "messina_subscription_retries_total";
/// Changes that were poison and passed over.
pub const SUBSCRIPTION_SKIPPED: &str = "messina_subscription_skipped_total";
/// Whether a subscription runs in this process.
pub const SUBSCRIPTION_LEASE_HELD: &str = "messina_subscription_lease_held";
/// Leases lost.
pub const SUBSCRIPTION_LEASES_LOST: &str = "messina_subscription_leases_lost_total";
/// Whether a subscription has ended with an error.
pub const SUBSCRIPTION_HALTED: &str = "messina_subscription_halted";
