//! `pause`, `resume`, `stop`, `slices`: what operators want of a group, wherever it runs.

use std::time::Duration;

use crate::cli::connect::store;
use crate::cli::error::{CommandLineError, Outcome};
use crate::cli::output;
use crate::cli::service::Service;
use crate::cli::settings::Settings;
use crate::consumer::GroupControl;

/// What is wanted.
pub(super) enum Wanted {
    /// Pause, and wait until nothing of it is handled any more.
    Pause {
        wait: Duration,
    },
    Resume,
    Stop,
    Slices(u16),
}

pub(super) async fn run(
    group: &str,
    wanted: Wanted,
    service: &Service,
    settings: &Settings,
) -> Result<Outcome, CommandLineError> {
    service.entry(group)?;
    let store = store(service, settings).await?;
    let control = GroupControl::connect(&store).await?;
    match wanted {
        Wanted::Pause { wait } => {
            control.pause(group).await?;
            control.wait_idle(group, wait).await?;
            output::line(&format!("{group} is paused; it stays so until it is resumed"))?;
        }
        Wanted::Resume => {
            control.resume(group).await?;
            output::line(&format!("{group} goes on where it was"))?;
        }
        Wanted::Stop => {
            control.stop(group).await?;
            output::line(&format!("{group} ends in the runners that are up now"))?;
        }
        Wanted::Slices(slices) => {
            control.set_slices(group, slices).await?;
            output::line(&format!("{group} has {slices} slices; resume it"))?;
        }
    }
    Ok(Outcome::Well)
}
