//! Rebuilding into new tables, and switching to them.

use std::sync::Arc;

use crate::projection::rebuild::follow::{Follower, log_reaches};
use crate::projection::rebuild::job::{Job, Replayed, Tell, all_ranges};
use crate::projection::rebuild::progress::{Meter, Totals};
use crate::projection::rebuild::stored::Unfinished;
use crate::projection::rebuild::verify::compare_with_replay;
use crate::projection::rebuild::{RebuildError, RebuildMode, RebuildPhase, VerifyReport};
use crate::time::now_micros;

/// How a rebuild beside ended.
pub(super) struct Switched {
    pub(super) replayed: Replayed,
    pub(super) resumed: bool,
    pub(super) from: i32,
    pub(super) to: i32,
    pub(super) verification: Option<VerifyReport>,
}

/// Builds a new version, brings it level, compares it with a second replay if `verify`,
/// and switches to it.
pub(super) async fn beside(
    job: &Job,
    from_scratch: bool,
    verify: bool,
    tell: Tell<'_>,
) -> Result<Switched, RebuildError> {
    if verify {
        job.tables().refuse_expiring().await?;
    }
    let (unfinished, resumed) = begin(job, from_scratch).await?;
    let version = unfinished.target;
    let replayed =
        job.replay(version, Some(unfinished.ranges), RebuildPhase::Replaying, &mut *tell).await?;
    let mut follower = Follower::start(
        &job.store,
        Arc::clone(&job.projection),
        version,
        unfinished.began_at,
        &job.settings,
    )
    .await?;
    let result = bring_level(job, &mut follower, version, verify, &mut *tell).await;
    let verification = match result {
        Ok(verification) => verification,
        Err(error) => {
            // What it has done is stored; the next run goes on from there.
            if let Err(stopping) = follower.stop().await {
                tracing::warn!(projection = job.name(), error = %stopping, "stopping the follower");
            }
            return Err(error);
        }
    };
    let from = switch(job, version, tell).await?;
    follower.end().await?;
    Ok(Switched { replayed, resumed, from, to: version, verification })
}

/// Goes on with an unfinished build, or begins one.
async fn begin(job: &Job, from_scratch: bool) -> Result<(Unfinished, bool), RebuildError> {
    let stored = || RebuildError::database("the progress of rebuilds");
    let versions = job.versions().await?;
    let unfinished = job.stored.load().await.map_err(stored())?.filter(|unfinished| {
        !from_scratch
            && unfinished.mode == RebuildMode::Beside
            && versions.also_written.contains(&unfinished.target)
            && log_reaches(unfinished.began_at)
    });
    job.clean(unfinished.as_ref().map(|unfinished| unfinished.target)).await?;
    if let Some(unfinished) = unfinished {
        return Ok((unfinished, true));
    }
    job.stored.forget().await.map_err(stored())?;
    let target = job.new_version(false).await?;
    let unfinished = Unfinished {
        mode: RebuildMode::Beside,
        target,
        began_at: now_micros() / 1000,
        paused: false,
        ranges: all_ranges(),
    };
    job.stored.begin(&unfinished).await.map_err(stored())?;
    // Events that the live group handles without writing the new version are older than
    // this moment, and thus found by the scan.
    job.noticed().await?;
    Ok((unfinished, false))
}

async fn bring_level(
    job: &Job,
    follower: &mut Follower,
    version: i32,
    verify: bool,
    tell: Tell<'_>,
) -> Result<Option<VerifyReport>, RebuildError> {
    level(job, follower, &mut *tell).await?;
    if !verify {
        return Ok(None);
    }
    let report = compare_with_replay(job, version, &mut *tell).await?;
    if report.is_equal() {
        return Ok(Some(report));
    }
    let unsettled: u64 = report.tables.iter().map(|table| table.unsettled).sum();
    Err(RebuildError::Unverified {
        projection: job.name().to_owned(),
        rows: report.different_rows() + unsettled,
        first: report.differences.first().map_or_else(
            || "rows that change too often to be compared".to_owned(),
            ToString::to_string,
        ),
    })
}

/// Waits until the follower has handled everything written so far.
async fn level(job: &Job, follower: &mut Follower, tell: Tell<'_>) -> Result<(), RebuildError> {
    let totals = Totals::default();
    let mut meter = Meter::new(RebuildPhase::Following, &totals);
    let done = |part: f64| (part.clamp(0.0, 1.0) * Totals::RING as f64) as u64;
    follower
        .level(&job.cancel, |part| {
            totals.ring.store(done(part), std::sync::atomic::Ordering::Relaxed);
            tell(meter.progress(&totals));
        })
        .await
}

/// Queries go to `version`, in one step; returns the version that they leave.
async fn switch(job: &Job, version: i32, tell: Tell<'_>) -> Result<i32, RebuildError> {
    let totals = Totals::default();
    tell(Meter::new(RebuildPhase::Switching, &totals).progress(&totals));
    let (_, from) = job
        .change(|versions| {
            let from = versions.current;
            // Repeated after a lost answer, it has happened already.
            if from != version {
                versions.switch_to(version);
            }
            from
        })
        .await?;
    tracing::info!(projection = job.name(), version, "queries go to the new version");
    // Who has not noticed yet reads the old version, so it is written until all have. If
    // this process ends now, the next job ends it.
    job.noticed().await?;
    let ((), ()) = (
        job.change(|versions| versions.also_written.retain(|v| *v == version)).await.map(drop)?,
        job.stored.forget().await.map_err(RebuildError::database("the progress of rebuilds"))?,
    );
    Ok(from)
}
