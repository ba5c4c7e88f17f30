//! `doctor`: looks at everything that the groups need, and says what to do.

mod brokers;
mod clocks;
mod database;
mod finding;
mod progress;
mod streams;
mod topics;

use finding::{Finding, Level};

use crate::cli::connect::connect;
use crate::cli::error::{CommandLineError, Outcome};
use crate::cli::output::{self, Output};
use crate::cli::service::Service;
use crate::cli::settings::Settings;
use crate::store::EventStore;

pub(super) async fn run(
    form: Output,
    service: &Service,
    settings: &Settings,
) -> Result<Outcome, CommandLineError> {
    let mut findings = Vec::new();
    match connect(settings).await {
        Ok(session) => {
            findings.push(database::connection(&session).await);
            findings.extend(clocks::clocks(&session).await);
            let keyspace = settings.text("keyspace");
            findings.push(database::replication(&session, keyspace).await);
            let schema = database::schema(&session, service, keyspace).await;
            let has_schema = schema.level == Level::Ok;
            findings.push(schema);
            if has_schema {
                match EventStore::connect(session, keyspace).await {
                    Ok(store) => {
                        findings.push(streams::streams(&store, settings).await);
                        findings.extend(progress::groups(&store, service).await);
                    }
                    Err(error) => findings.push(Finding::problem("store", error.to_string())),
                }
            }
        }
        Err(error) => findings.push(
            Finding::problem("connection", error.to_string())
                .advice("start ScyllaDB, or name its nodes with --scylla"),
        ),
    }
    if service.groups.iter().any(|group| group.sends_to_brokers()) {
        let (finding, cluster) = brokers::brokers(settings).await;
        findings.push(finding);
        if let Some(cluster) = cluster {
            findings.extend(topics::topics(service, settings, &cluster));
        }
    }
    print(&findings, form)?;
    // A warning is worth reading, a problem stops something.
    if findings.iter().any(|finding| finding.level == Level::Problem) {
        return Ok(Outcome::Findings);
    }
    Ok(Outcome::Well)
}

fn print(findings: &[Finding], form: Output) -> Result<(), CommandLineError> {
    if form == Output::Json {
        return output::json(&findings);
    }
    for finding in findings {
        output::line(&format!("{:8} {}: {}", finding.level.mark(), finding.check, finding.found))?;
        if let Some(advice) = &finding.advice {
            output::line(&format!("{:8}   → {advice}", ""))?;
        }
    }
    Ok(())
}
