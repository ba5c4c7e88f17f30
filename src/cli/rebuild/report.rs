//! What is printed at the end.

use serde::Serialize;

use crate::cli::error::CommandLineError;
use crate::cli::output::{self, Output};
use crate::projection::{RebuildPlan, RebuildReport, VerifyReport};

pub(super) fn plan(plan: &RebuildPlan, form: Output) -> Result<(), CommandLineError> {
    if form == Output::Json {
        return output::json(plan);
    }
    output::line(&format!(
        "{} would be rebuilt {}: {}",
        plan.projection,
        plan.mode,
        plan.tables.join(", ")
    ))?;
    output::line(&format!("queries read version {}", plan.current_version))?;
    if let Some(done) = plan.resumes_at {
        output::line(&format!("{:.0} % of the ring are done already", done * 100.0))?;
    }
    if !plan.old_versions.is_empty() {
        let versions: Vec<String> = plan.old_versions.iter().map(ToString::to_string).collect();
        output::line(&format!("--drop-old would drop version {}", versions.join(", ")))?;
    }
    Ok(())
}

/// Versions that were dropped.
#[derive(Debug, Serialize)]
struct Dropped<'d> {
    projection: &'d str,
    dropped_versions: &'d [i32],
}

pub(super) fn dropped(
    projection: &str,
    dropped_versions: &[i32],
    form: Output,
) -> Result<(), CommandLineError> {
    if form == Output::Json {
        return output::json(&Dropped { projection, dropped_versions });
    }
    if dropped_versions.is_empty() {
        return output::line(&format!("{projection}: no old versions"));
    }
    output::line(&format!("{projection}: {} old versions dropped", dropped_versions.len()))
}

pub(super) fn rebuilt(report: &RebuildReport, form: Output) -> Result<(), CommandLineError> {
    if form == Output::Json {
        return output::json(report);
    }
    let seconds = report.replay.as_secs_f64();
    let (name, events, writes) = (&report.projection, report.events, report.writes);
    output::line(&if report.resumed {
        // The counts are of all runs, the time is of the last.
        format!(
            "{name} rebuilt: {events} events, {writes} writes; the rest of them in {seconds:.1} s"
        )
    } else {
        let rate = events as f64 / seconds.max(0.001);
        format!(
            "{name} rebuilt: {events} events, {writes} writes in {seconds:.1} s ({rate:.0} events/s)"
        )
    })?;
    if report.version != report.previous_version {
        output::line(&format!(
            "queries read version {}; version {} stays until --drop-old",
            report.version, report.previous_version
        ))?;
    }
    if report.skipped > 0 {
        output::line(&format!("{} events skipped", report.skipped))?;
        for event in &report.skipped_events {
            output::line(&format!("  {event}"))?;
        }
    }
    Ok(())
}

pub(super) fn verified(report: &VerifyReport, form: Output) -> Result<(), CommandLineError> {
    if form == Output::Json {
        return output::json(report);
    }
    for table in &report.tables {
        output::line(&format!(
            "{}: {} rows, {} missing, {} extra, {} different, {} unsettled",
            table.table, table.rows, table.missing, table.extra, table.different, table.unsettled
        ))?;
    }
    for difference in &report.differences {
        output::line(&format!("  {difference}"))?;
    }
    if report.skipped > 0 {
        output::line(&format!("{} events skipped", report.skipped))?;
    }
    let verdict = if report.is_equal() { "is as a replay makes it" } else { "differs" };
    output::line(&format!("{} (version {}) {verdict}", report.projection, report.version))
}
