//! The columns of what DESCRIBE answers.

use std::sync::Arc;

use crate::parse::ast::{Describe, DescribeKind};
use crate::request::ColumnSpec;
use crate::schema::is_system_keyspace;
use crate::types::CqlType;

/// The columns of the answer.
pub fn describe_columns(describe: &Describe, current: Option<&str>) -> Arc<[ColumnSpec]> {
    let text = |name: &&str| column(name, CqlType::Text);
    match &describe.kind {
        DescribeKind::Cluster => {
            let mut columns: Vec<_> =
                ["cluster", "partitioner", "snitch"].iter().map(text).collect();
            if current.is_some_and(|keyspace| !is_system_keyspace(keyspace)) {
                let endpoints = CqlType::List { element: Arc::new(CqlType::Text), frozen: true };
                let (key, value) = (Arc::new(CqlType::Text), Arc::new(endpoints));
                let owners = CqlType::Map { key, value, frozen: true };
                columns.push(column("range_ownership", owners));
            }
            columns.into()
        }
        DescribeKind::Keyspaces
        | DescribeKind::Tables
        | DescribeKind::Types
        | DescribeKind::Functions
        | DescribeKind::Aggregates => ["keyspace_name", "type", "name"].iter().map(text).collect(),
        DescribeKind::Schema { .. }
        | DescribeKind::Keyspace { .. }
        | DescribeKind::Element { .. } => {
            ["keyspace_name", "type", "name", "create_statement"].iter().map(text).collect()
        }
    }
}

fn column(name: &str, cql_type: CqlType) -> ColumnSpec {
    ColumnSpec {
        keyspace: "system".to_owned(),
        table: "describe".to_owned(),
        name: name.to_owned(),
        cql_type,
    }
}
