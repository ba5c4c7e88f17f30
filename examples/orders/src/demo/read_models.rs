//! The read models, asked by CQL.

use std::collections::HashMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use messina::read_model::ReadModel;
use messina::{AggregateId, EventStore, StoreError};
use scylla::client::session::Session;
use scylla::response::query_result::QueryRowsResult;
use scylla::serialize::row::SerializeRow;
use scylla::value::{CqlValue, Row};

use crate::domain::Order;
use crate::service::ServiceError;

/// Queries at once.
const CONCURRENT: usize = 32;

/// What was queried: a title with the statement, the columns, the rows as text.
pub(super) struct Sample {
    pub(super) title: String,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// Some rows of each read model, about these orders.
pub(super) async fn samples(
    store: &EventStore,
    orders: &[(AggregateId, i64, Order)],
) -> Result<Vec<Sample>, ServiceError> {
    let session = store.session();
    let current = async |projection: &str, query: &str| {
        ReadModel::new(store.clone(), projection).cql(query).await
    };
    let ids: Vec<_> = orders.iter().take(4).map(|(id, _, _)| id.0).collect();
    let customer = busiest_customer(orders);
    let quoted = |text: &str| format!("'{text}'");
    let mut samples = vec![
        sample(
            session,
            current(
                "order_read_model",
                "SELECT order_id, customer_id, status, item_count, total_cents, shipper, version \
                 FROM {order_read_model} WHERE order_id IN ?",
            )
            .await?,
            "(…)",
            (ids,),
        )
        .await?,
        sample(
            session,
            current(
                "orders_by_customer",
                "SELECT placed_at, order_id, status, item_count, total_cents \
                 FROM {orders_by_customer} WHERE customer_id = ? LIMIT 4",
            )
            .await?,
            &quoted(&customer),
            (&customer,),
        )
        .await?,
    ];
    for status in ["delivered", "cancelled"] {
        samples.push(
            sample(
                session,
                current(
                    "orders_by_status",
                    "SELECT placed_at, order_id, customer_id, total_cents \
                     FROM {orders_by_status} WHERE status = ? LIMIT 3",
                )
                .await?,
                &quoted(status),
                (status,),
            )
            .await?,
        );
    }
    Ok(samples)
}

fn busiest_customer(orders: &[(AggregateId, i64, Order)]) -> String {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for placed in orders.iter().filter_map(|(_, _, order)| order.placed()) {
        *counts.entry(placed.customer_id.as_str()).or_default() += 1;
    }
    // The name decides between equals, so that each run shows the same.
    let busiest = counts.into_iter().max_by_key(|(name, count)| (*count, std::cmp::Reverse(*name)));
    busiest.map_or_else(String::new, |(name, _)| name.to_owned())
}

/// How many of the orders stand in `order_read_model` as their last reply said.
pub(super) async fn agreeing(
    store: &EventStore,
    orders: &[(AggregateId, i64, Order)],
) -> Result<usize, ServiceError> {
    let model = ReadModel::new(store.clone(), "order_read_model");
    let query = "SELECT status, version, total_cents FROM {order_read_model} WHERE order_id = ?";
    let statement = model.prepared(query).await?;
    let agree = stream::iter(orders)
        .map(|(id, version, order)| {
            let statement = &statement;
            async move {
                let rows = rows(store.session().execute_unpaged(statement, (id.0,)).await)?;
                let row = rows
                    .maybe_first_row::<(Option<String>, Option<i64>, Option<i64>)>()
                    .map_err(|e| ServiceError::Demo(e.to_string()))?;
                let expected = order.placed().map(|placed| {
                    let status = placed.status.as_str().to_owned();
                    (Some(status), Some(*version), Some(placed.total_cents()))
                });
                Ok::<_, ServiceError>(usize::from(row == expected))
            }
        })
        .buffer_unordered(CONCURRENT)
        .try_fold(0, |sum, one| async move { Ok(sum + one) })
        .await?;
    Ok(agree)
}

/// Runs a statement with one marker, for which `shown` stands in the title.
async fn sample(
    session: &Session,
    cql: String,
    shown: &str,
    values: impl SerializeRow,
) -> Result<Sample, ServiceError> {
    let rows = rows(session.query_unpaged(cql.as_str(), values).await)?;
    let columns = rows.column_specs().iter().map(|c| c.name().to_owned()).collect();
    let texts = rows
        .rows::<Row>()
        .map_err(|e| ServiceError::Demo(e.to_string()))?
        .map(|row| Ok(row?.columns.iter().map(|value| text(value.as_ref())).collect()))
        .collect::<Result<_, scylla::errors::DeserializationError>>()
        .map_err(|e| ServiceError::Demo(e.to_string()))?;
    Ok(Sample { title: cql.replace('?', shown), columns, rows: texts })
}

fn rows(
    result: Result<scylla::response::query_result::QueryResult, scylla::errors::ExecutionError>,
) -> Result<QueryRowsResult, ServiceError> {
    let result = result.map_err(|e| unavailable(e.into()))?;
    result.into_rows_result().map_err(|e| unavailable(e.into()))
}

fn unavailable(source: messina::store::DatabaseError) -> ServiceError {
    StoreError::Unavailable { operation: "querying a read model", source }.into()
}

fn text(value: Option<&CqlValue>) -> String {
    match value {
        None => "null".to_owned(),
        Some(CqlValue::Text(text)) => text.clone(),
        Some(CqlValue::Timestamp(at)) => chrono::DateTime::from_timestamp_millis(at.0)
            .map_or_else(|| at.0.to_string(), |at| at.format("%Y-%m-%d %H:%M").to_string()),
        Some(other) => other.to_string(),
    }
}
