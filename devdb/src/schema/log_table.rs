//! The CDC log table of a base table.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::catalog::log_table_name;
use super::model::{Partitioner, Table, TableOptions};
use crate::cdc::log_columns;

/// The log of `base`: new, or `existing` brought up to the base's columns.
pub fn log_table(base: &Table, existing: Option<&Table>) -> Table {
    let (columns, next_column_id) = log_columns(base, existing);
    Table {
        id: existing.map_or_else(Uuid::new_v4, |log| log.id),
        keyspace: base.keyspace.clone(),
        name: log_table_name(&base.name),
        columns,
        next_column_id,
        dropped: existing.map(|log| log.dropped.clone()).unwrap_or_default(),
        partitioner: Partitioner::Cdc,
        options: log_options(base),
        cdc: None,
        cdc_log_of: Some(base.id),
    }
}

fn log_options(base: &Table) -> TableOptions {
    let ttl = base.cdc.as_ref().map_or(0, |cdc| cdc.ttl);
    let text = |pairs: &[(&str, String)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()
    };
    let mut options = TableOptions {
        comment: format!("CDC log for {}.{}", base.keyspace, base.name),
        caching: text(&[
            ("enabled", "false".to_owned()),
            ("keys", "NONE".to_owned()),
            ("rows_per_partition", "NONE".to_owned()),
        ]),
        compaction: text(&[("class", "TimeWindowCompactionStrategy".to_owned())]),
        ..TableOptions::default()
    };
    if ttl > 0 {
        // ScyllaDB sizes the windows so that a log has no more than 24 of them.
        let window_seconds = (ttl + 23) / 24;
        options.gc_grace_seconds = 0;
        options.compaction = text(&[
            ("class", "TimeWindowCompactionStrategy".to_owned()),
            ("compaction_window_size", ((window_seconds + 59) / 60).to_string()),
            ("compaction_window_unit", "MINUTES".to_owned()),
            ("expired_sstable_check_frequency_seconds", (window_seconds / 2).max(1).to_string()),
        ]);
    }
    options
}
