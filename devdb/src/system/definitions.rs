//! The tables that the node itself keeps, as CQL.
//!
//! Source: ScyllaDB 5.1, db/system_keyspace.cc, db/schema_tables.cc,
//! db/system_distributed_keyspace.cc: the tables and columns that drivers, cqlsh and
//! scylla-cdc read. Of tablets and their streams: ScyllaDB 2025.4.

/// Creates the system's keyspaces and tables.
pub fn statements(knows_tablets: bool) -> Vec<String> {
    let mut statements: Vec<String> = [
        "CREATE KEYSPACE system WITH replication = {'class': 'LocalStrategy'}",
        "CREATE KEYSPACE system_schema WITH replication = {'class': 'LocalStrategy'}",
        "CREATE KEYSPACE system_distributed WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 3}",
        "CREATE TABLE system.local (key text PRIMARY KEY, bootstrapped text, \
         broadcast_address inet, cluster_name text, cql_version text, data_center text, \
         gossip_generation int, host_id uuid, listen_address inet, \
         native_protocol_version text, partitioner text, rack text, release_version text, \
         rpc_address inet, schema_version uuid, supported_features text, \
         tokens frozen<set<text>>)",
        "CREATE TABLE system.peers (peer inet PRIMARY KEY, data_center text, host_id uuid, \
         preferred_ip inet, rack text, release_version text, rpc_address inet, \
         schema_version uuid, supported_features text, tokens frozen<set<text>>)",
        "CREATE TABLE system.versions (key text PRIMARY KEY, build_id text, build_mode text, \
         version text)",
        "CREATE TABLE system_schema.keyspaces (keyspace_name text PRIMARY KEY, \
         durable_writes boolean, replication frozen<map<text, text>>)",
        "CREATE TABLE system_schema.tables (keyspace_name text, table_name text, \
         bloom_filter_fp_chance double, caching frozen<map<text, text>>, comment text, \
         compaction frozen<map<text, text>>, compression frozen<map<text, text>>, \
         crc_check_chance double, dclocal_read_repair_chance double, \
         default_time_to_live int, extensions frozen<map<text, blob>>, \
         flags frozen<set<text>>, gc_grace_seconds int, id uuid, max_index_interval int, \
         memtable_flush_period_in_ms int, min_index_interval int, read_repair_chance double, \
         speculative_retry text, PRIMARY KEY (keyspace_name, table_name))",
        "CREATE TABLE system_schema.scylla_tables (keyspace_name text, table_name text, \
         cdc frozen<map<text, text>>, partitioner text, version timeuuid, \
         PRIMARY KEY (keyspace_name, table_name))",
        "CREATE TABLE system_schema.columns (keyspace_name text, table_name text, \
         column_name text, clustering_order text, column_name_bytes blob, kind text, \
         position int, type text, PRIMARY KEY (keyspace_name, table_name, column_name))",
        "CREATE TABLE system_schema.dropped_columns (keyspace_name text, table_name text, \
         column_name text, dropped_time timestamp, type text, \
         PRIMARY KEY (keyspace_name, table_name, column_name))",
        "CREATE TABLE system_schema.triggers (keyspace_name text, table_name text, \
         trigger_name text, options frozen<map<text, text>>, \
         PRIMARY KEY (keyspace_name, table_name, trigger_name))",
        "CREATE TABLE system_schema.views (keyspace_name text, view_name text, \
         base_table_id uuid, base_table_name text, bloom_filter_fp_chance double, \
         caching frozen<map<text, text>>, comment text, compaction frozen<map<text, text>>, \
         compression frozen<map<text, text>>, crc_check_chance double, \
         dclocal_read_repair_chance double, default_time_to_live int, \
         extensions frozen<map<text, blob>>, gc_grace_seconds int, id uuid, \
         include_all_columns boolean, max_index_interval int, \
         memtable_flush_period_in_ms int, min_index_interval int, read_repair_chance double, \
         speculative_retry text, where_clause text, PRIMARY KEY (keyspace_name, view_name))",
        "CREATE TABLE system_schema.indexes (keyspace_name text, table_name text, \
         index_name text, kind text, options frozen<map<text, text>>, \
         PRIMARY KEY (keyspace_name, table_name, index_name))",
        "CREATE TABLE system_schema.types (keyspace_name text, type_name text, \
         field_names frozen<list<text>>, field_types frozen<list<text>>, \
         PRIMARY KEY (keyspace_name, type_name))",
        "CREATE TABLE system_schema.functions (keyspace_name text, function_name text, \
         argument_types frozen<list<text>>, argument_names frozen<list<text>>, body text, \
         called_on_null_input boolean, language text, return_type text, \
         PRIMARY KEY (keyspace_name, function_name, argument_types))",
        "CREATE TABLE system_schema.aggregates (keyspace_name text, aggregate_name text, \
         argument_types frozen<list<text>>, final_func text, initcond text, \
         return_type text, state_func text, state_type text, \
         PRIMARY KEY (keyspace_name, aggregate_name, argument_types))",
        "CREATE TABLE system_schema.view_virtual_columns (keyspace_name text, view_name text, \
         column_name text, clustering_order text, column_name_bytes blob, kind text, \
         position int, type text, PRIMARY KEY (keyspace_name, view_name, column_name))",
        "CREATE TABLE system_schema.computed_columns (keyspace_name text, table_name text, \
         column_name text, computation blob, \
         PRIMARY KEY (keyspace_name, table_name, column_name))",
        "CREATE TABLE system_distributed.cdc_generation_timestamps (key text, \
         time timestamp, expired timestamp, PRIMARY KEY (key, time)) \
         WITH CLUSTERING ORDER BY (time DESC)",
        "CREATE TABLE system_distributed.cdc_streams_descriptions_v2 (time timestamp, \
         range_end bigint, streams frozen<set<blob>>, PRIMARY KEY (time, range_end))",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    // A server without tablets has no such column, and scylla-cdc takes its absence so.
    let tablets = if knows_tablets { "initial_tablets int, " } else { "" };
    statements.push(format!(
        "CREATE TABLE system_schema.scylla_keyspaces (keyspace_name text PRIMARY KEY, {tablets}\
         storage_options frozen<map<text, text>>, storage_type text)"
    ));
    if knows_tablets {
        statements.extend([
            "CREATE TABLE system.cdc_timestamps (keyspace_name text, table_name text, \
             timestamp timestamp, PRIMARY KEY ((keyspace_name, table_name), timestamp)) \
             WITH CLUSTERING ORDER BY (timestamp DESC)"
                .to_owned(),
            "CREATE TABLE system.cdc_streams (keyspace_name text, table_name text, \
             timestamp timestamp, stream_state tinyint, stream_id blob, \
             PRIMARY KEY ((keyspace_name, table_name), timestamp, stream_state, stream_id))"
                .to_owned(),
        ]);
    }
    statements
}
