//! A case: its steps executed in a keyspace of its own, their answers as text.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::response::query_result::QueryResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::statement::unprepared::Statement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::{CqlValue, Row};
use uuid::Uuid;

use crate::bind;
use crate::outcome::{self, Failure};
use crate::render::{self, Names};
use crate::script::{Action, Step};

const REPLICATION: &str =
    "replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}";

/// What a step came to.
#[derive(Debug)]
pub struct Answer {
    /// The statement as the recording shows it: after `> `, with its bound values.
    shown: String,
    /// The statement in one line.
    pub statement: String,
    result: String,
    /// Why a driver refused to send it, if one did.
    pub refused_by_driver: Option<String>,
}

impl Answer {
    /// The answer with its statement, as it would have been recorded.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.shown, self.result)
    }

    /// Whether this is what was recorded: the same text, or the refusal of a driver where
    /// the recording client refused too, in words of its own.
    pub fn is_recorded(&self, recorded: &str) -> bool {
        if self.refused_by_driver.is_none() {
            return self.text() == recorded;
        }
        let result = recorded.strip_prefix(&self.shown).and_then(|rest| rest.strip_prefix('\n'));
        result.is_some_and(outcome::is_refusal_of_client)
    }
}

/// A server to run cases against.
#[derive(Debug)]
pub struct Runner {
    uri: String,
    /// What CREATE KEYSPACE needs besides: CDC and LWT on tablets came late to ScyllaDB.
    without_tablets: &'static str,
}

impl Runner {
    /// Connects once, to learn what CREATE KEYSPACE takes.
    pub async fn new(uri: &str) -> Result<Self> {
        let session = connect(uri).await?;
        let without_tablets = " AND tablets = {'enabled': false}";
        let probe =
            format!("CREATE KEYSPACE IF NOT EXISTS conf_probe WITH {REPLICATION}{without_tablets}");
        let taken = session.query_unpaged(probe, ()).await.is_ok();
        session.query_unpaged("DROP KEYSPACE IF EXISTS conf_probe", ()).await?;
        let without_tablets = if taken { without_tablets } else { "" };
        Ok(Self { uri: uri.to_owned(), without_tablets })
    }

    /// Runs a script; its keyspace is `conf_` and its name.
    pub async fn run(&self, name: &str, steps: &[Step]) -> Result<Vec<Answer>> {
        let keyspace = format!("conf_{name}");
        // A session for each, because USE is part of a session.
        let session = connect(&self.uri).await?;
        let drop = format!("DROP KEYSPACE IF EXISTS {keyspace}");
        session.query_unpaged(drop.as_str(), ()).await?;
        let tablets = self.without_tablets;
        let create = format!("CREATE KEYSPACE {keyspace} WITH {REPLICATION}{tablets}");
        session.query_unpaged(create, ()).await?;
        session.use_keyspace(&keyspace, false).await?;
        let mut case = Case { session, keyspace, names: Names::default() };
        let mut answers = Vec::with_capacity(steps.len());
        for step in steps {
            answers.push(case.answer(step).await?);
        }
        case.session.query_unpaged(drop, ()).await?;
        Ok(answers)
    }
}

async fn connect(uri: &str) -> Result<Session> {
    SessionBuilder::new()
        .known_node(uri)
        .fetch_schema_metadata(false)
        .refresh_metadata_on_auto_schema_agreement(false)
        .schema_agreement_interval(Duration::from_millis(20))
        .connection_timeout(Duration::from_secs(30))
        .build()
        .await
        .with_context(|| format!("no session with {uri}"))
}

/// All rows of a result: names and types of the columns, and how many rows each page had.
struct Rows {
    names: Vec<String>,
    types: Vec<String>,
    rows: Vec<Vec<Option<CqlValue>>>,
    pages: Vec<usize>,
}

struct Case {
    session: Session,
    keyspace: String,
    names: Names,
}

impl Case {
    async fn answer(&mut self, step: &Step) -> Result<Answer> {
        let statement = match &step.action {
            Action::Statement(text) => text.clone(),
            Action::Log(table) => format!("SELECT * FROM {table}_scylla_cdc_log"),
        };
        let mut shown = format!("> {}", statement.replace('\n', "\n> "));
        if let Some(values) = step.directive("bind") {
            shown.push_str(&format!("\n> -- bind {values}"));
        }
        if let Some(seconds) = step.directive("sleep") {
            tokio::time::sleep(Duration::from_secs_f64(seconds.parse()?)).await;
        }
        let mut refused_by_driver = None;
        let result = match self.execute(step, &statement).await {
            Ok(rows) if rows.names.is_empty() => "OK".to_owned(),
            Ok(rows) => match &step.action {
                Action::Log(table) => self.log_text(table, rows).await?,
                Action::Statement(_) => self.rows_text(step, &rows),
            },
            Err(failure) => {
                if let Failure::Driver(why) = &failure {
                    refused_by_driver = Some(why.clone());
                }
                failure.text(step.directive("any-message").is_some())
            }
        };
        let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Answer { shown, statement, result, refused_by_driver })
    }

    async fn execute(&self, step: &Step, text: &str) -> Result<Rows, Failure> {
        let mut statement = Statement::new(text).with_page_size(match step.directive("page") {
            Some(size) => size.parse().map_err(|e| Failure::Driver(format!("page size: {e}")))?,
            None => 5000,
        });
        if let Some(name) = step.directive("cl") {
            statement.set_consistency(consistency(name)?);
        }
        if let Some(name) = step.directive("serial") {
            statement.set_serial_consistency(Some(serial_consistency(name)?));
        }
        let mut rows = Rows { names: vec![], types: vec![], rows: vec![], pages: vec![] };
        let mut state = PagingState::start();
        if let Some(values) = step.directive("bind") {
            let prepared = self.session.prepare(statement).await?;
            let key: Vec<usize> = prepared
                .get_variable_pk_indexes()
                .iter()
                .map(|index| usize::from(index.index))
                .collect();
            let values = bind::values(values, prepared.get_variable_col_specs().as_slice(), &key)
                .map_err(Failure::Driver)?;
            loop {
                let page = self.session.execute_single_page(&prepared, &values, state).await?;
                match rows.add(page)? {
                    Some(next) => state = next,
                    None => return Ok(rows),
                }
            }
        }
        loop {
            let page = self.session.query_single_page(statement.clone(), (), state).await?;
            match rows.add(page)? {
                Some(next) => state = next,
                None => return Ok(rows),
            }
        }
    }

    fn rows_text(&mut self, step: &Step, rows: &Rows) -> String {
        let mut lines = rows.lines(&mut self.names);
        if step.directive("unordered").is_some() {
            lines.sort();
        }
        let pages = match step.directive("page") {
            Some(_) => format!(", pages of {:?}", rows.pages),
            None => String::new(),
        };
        lines.insert(0, rows.header());
        lines.push(format!("({} rows{pages})", rows.rows.len()));
        lines.join("\n")
    }

    /// A CDC log in order of time, and whether each partition kept to one stream.
    async fn log_text(&mut self, table: &str, mut rows: Rows) -> Result<String> {
        if rows.rows.is_empty() {
            return Ok(format!("{}\n(0 rows)", rows.header()));
        }
        let key = self.partition_key(table).await?;
        let position = |name: &str| {
            let position = rows.names.iter().position(|column| column == name);
            position.with_context(|| format!("the log has no column {name}"))
        };
        let (time, number) = (position("cdc$time")?, position("cdc$batch_seq_no")?);
        let stream = position("cdc$stream_id")?;
        let key = key.iter().map(|name| position(name)).collect::<Result<Vec<_>>>()?;
        let text = |row: &[Option<CqlValue>], at: usize| match &row[at] {
            Some(value) => render::show(value),
            None => String::new(),
        };
        let key_of = |row: &[Option<CqlValue>]| -> Vec<String> {
            key.iter().map(|at| text(row, *at)).collect()
        };
        let mut streams: BTreeMap<Vec<String>, BTreeSet<String>> = BTreeMap::new();
        for row in &rows.rows {
            streams.entry(key_of(row)).or_default().insert(text(row, stream));
        }
        rows.rows.sort_by_cached_key(|row| {
            let ticks = match &row[time] {
                Some(CqlValue::Timeuuid(id)) => ticks(Uuid::from_bytes(*id.as_bytes())),
                _ => 0,
            };
            let number = match &row[number] {
                Some(CqlValue::Int(number)) => *number,
                _ => 0,
            };
            (ticks, key_of(row), number)
        });
        let one = if streams.values().all(|s| s.len() == 1) { "yes" } else { "NO" };
        let mut lines = vec![rows.header()];
        lines.extend(rows.lines(&mut self.names));
        lines.push(format!("({} rows, each partition in one stream: {one})", rows.rows.len()));
        Ok(lines.join("\n"))
    }

    async fn partition_key(&self, table: &str) -> Result<Vec<String>> {
        let columns = self
            .session
            .query_unpaged(
                "SELECT column_name, kind, position FROM system_schema.columns \
                 WHERE keyspace_name = ? AND table_name = ?",
                (&self.keyspace, table),
            )
            .await?
            .into_rows_result()?;
        let mut key = Vec::new();
        for row in columns.rows::<(String, String, i32)>()? {
            let (name, kind, position) = row?;
            if kind == "partition_key" {
                key.push((position, name));
            }
        }
        key.sort();
        Ok(key.into_iter().map(|(_, name)| name).collect())
    }
}

impl Rows {
    /// Adds a page; where the next one begins, if there is one.
    fn add(
        &mut self,
        (result, state): (QueryResult, PagingStateResponse),
    ) -> Result<Option<PagingState>, Failure> {
        if !result.is_rows() {
            return Ok(None);
        }
        let driver = |error: &dyn std::fmt::Display| Failure::Driver(error.to_string());
        let page = result.into_rows_result().map_err(|error| driver(&error))?;
        if self.names.is_empty() {
            for column in page.column_specs().iter() {
                self.names.push(column.name().to_owned());
                self.types.push(render::type_name(column.typ()));
            }
        }
        self.pages.push(page.rows_num());
        for row in page.rows::<Row>().map_err(|error| driver(&error))? {
            self.rows.push(row.map_err(|error| driver(&error))?.columns);
        }
        Ok(match state {
            PagingStateResponse::HasMorePages { state } => Some(state),
            PagingStateResponse::NoMorePages => None,
        })
    }

    fn header(&self) -> String {
        let columns = self.names.iter().zip(&self.types).map(|(name, typ)| format!("{name}:{typ}"));
        format!("| {} |", columns.collect::<Vec<_>>().join(" | "))
    }

    fn lines(&self, names: &mut Names) -> Vec<String> {
        let mut lines = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let values = self.names.iter().zip(row);
            let values = values.map(|(name, value)| render::column(name, value.as_ref(), names));
            lines.push(format!("| {} |", values.collect::<Vec<_>>().join(" | ")));
        }
        lines
    }
}

/// The time of a version 1 UUID.
fn ticks(uuid: Uuid) -> u64 {
    uuid.get_timestamp().map_or(0, |time| time.to_gregorian().0)
}

fn consistency(name: &str) -> Result<Consistency, Failure> {
    Ok(match name {
        "ANY" => Consistency::Any,
        "ONE" => Consistency::One,
        "TWO" => Consistency::Two,
        "THREE" => Consistency::Three,
        "QUORUM" => Consistency::Quorum,
        "ALL" => Consistency::All,
        "LOCAL_QUORUM" => Consistency::LocalQuorum,
        "EACH_QUORUM" => Consistency::EachQuorum,
        "LOCAL_ONE" => Consistency::LocalOne,
        "SERIAL" => Consistency::Serial,
        "LOCAL_SERIAL" => Consistency::LocalSerial,
        other => return Err(Failure::Driver(format!("no consistency level {other}"))),
    })
}

fn serial_consistency(name: &str) -> Result<SerialConsistency, Failure> {
    Ok(match name {
        "SERIAL" => SerialConsistency::Serial,
        "LOCAL_SERIAL" => SerialConsistency::LocalSerial,
        other => return Err(Failure::Driver(format!("{other} is no serial consistency level"))),
    })
}
