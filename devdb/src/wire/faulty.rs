//! What happens to a request that a fault hits.

use std::time::Duration;

use bytes::BytesMut;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::error::CqlError;
use crate::faults::{Effects, FaultAction};

use super::connection::Worker;
use super::request::Request;
use super::response::Envelope;
use super::service::consistency_of;

impl Request {
    fn set_effects(&mut self, effects: Effects) {
        match self {
            Request::Query { parameters, .. } | Request::Execute { parameters, .. } => {
                parameters.effects = effects;
            }
            Request::Batch(batch) => batch.effects = effects,
            Request::Options
            | Request::Startup(_)
            | Request::Register(_)
            | Request::Prepare { .. } => {}
        }
    }
}

/// A node that restarts does not wait for a request that is held up.
async fn hold(under_way: TaskTrackerToken, time: Duration) {
    drop(under_way);
    tokio::time::sleep(time).await;
}

impl Worker {
    /// Executes a request as the fault wants it.
    pub(super) async fn execute_faulty(
        &self,
        envelope: Envelope,
        mut request: Request,
        action: FaultAction,
        under_way: TaskTrackerToken,
    ) {
        let mut out = BytesMut::new();
        let engine = self.shared.service.engine();
        let fail = |out: &mut BytesMut, error: &CqlError, request: &Request| {
            out.clear();
            envelope.error(out, error, consistency_of(request));
        };
        let mut announced = self.outbox.announce();
        let mut answer = |out: &mut BytesMut, request: &Request| {
            let is_result = self.shared.service.answer(&envelope, &self.state, request, out);
            announced.grow_to(out.len());
            is_result
        };
        self.outbox.room().await;
        let mut effects = Effects::default();
        match action {
            FaultAction::Delay(time) => hold(under_way, time).await,
            FaultAction::DelayAnswer(time) => {
                answer(&mut out, &request);
                hold(under_way, time).await;
                return self.push(&mut out).await;
            }
            FaultAction::FailBefore(error) => {
                fail(&mut out, &error, &request);
                return self.push(&mut out).await;
            }
            FaultAction::FailAfter(error) => {
                answer(&mut out, &request);
                fail(&mut out, &error, &request);
                return self.push(&mut out).await;
            }
            FaultAction::DropBefore => return self.outbox.abort(),
            FaultAction::DropAfter => {
                answer(&mut out, &request);
                return self.outbox.abort();
            }
            FaultAction::HalfBatch { part, rest_after, error } => {
                effects.half = Some((part, rest_after));
                request.set_effects(effects);
                if answer(&mut out, &request) {
                    match error {
                        Some(error) => fail(&mut out, &error, &request),
                        None => hold(under_way, rest_after).await,
                    }
                }
                return self.push(&mut out).await;
            }
            FaultAction::LateLog(delay) => effects.late_log = Some(delay),
            FaultAction::DuplicateLog => effects.duplicate_log = true,
            FaultAction::ShortPage(rows) => effects.short_page = Some(rows),
            FaultAction::ForgetPrepared => engine.forget_prepared(),
            FaultAction::NewGeneration(delay) => {
                if let Err(error) = engine.new_cdc_generation(delay) {
                    fail(&mut out, &error, &request);
                    return self.push(&mut out).await;
                }
            }
            FaultAction::ClockOffset(micros) => engine.clock().set_offset_micros(micros),
        }
        // The time that has passed may have filled it.
        self.outbox.room().await;
        request.set_effects(effects);
        answer(&mut out, &request);
        self.push(&mut out).await;
    }
}
