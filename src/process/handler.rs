//! A process manager as a consumer group's handler.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::aggregate::Aggregate;
use crate::command::CommandHandler;
use crate::consumer::{EventHandler, Handled, HandlerError};
use crate::event::EventEnvelope;
use crate::process::commands::{Answer, Circumstances, Handlers, Issue};
use crate::process::{Commands, ProcessManager, Rejection};

/// Runs a process manager: give it to a [`ConsumerGroup`](crate::consumer::ConsumerGroup).
///
/// An event is done when all its commands have been answered. A refusal is an answer; a
/// conflict, a database that does not answer and an outcome that is not known are tried again
/// ([`HandlerError::Retry`]), under the same idempotency keys: what was carried out is not
/// carried out again, as long as its outcome is kept
/// ([`StoreSettings::outcome_ttl`](crate::store::StoreSettings::outcome_ttl)).
///
/// ```no_run
/// # use messina::process::{ProcessHandler, ProcessManager};
/// # use messina::consumer::{ConsumerGroup, GroupError};
/// # use messina::{Aggregate, CommandHandler, EventStore};
/// # async fn example<Order: Aggregate>(store: EventStore, process: impl ProcessManager)
/// # -> Result<(), GroupError> {
/// let handler = ProcessHandler::new(process).with(CommandHandler::<Order>::new(store.clone()));
/// let group = ConsumerGroup::builder(store, "ship_when_paid", handler).start().await?;
/// # group.stop().await?;
/// # Ok(())
/// # }
/// ```
pub struct ProcessHandler {
    process: Arc<dyn ProcessManager>,
    handlers: Handlers,
}

impl ProcessHandler {
    /// Of this process, which can send no commands yet.
    pub fn new(process: impl ProcessManager) -> Self {
        Self { process: Arc::new(process), handlers: Handlers::default() }
    }

    /// Lets it send commands to this type of aggregate.
    #[must_use]
    pub fn with<A: Aggregate>(mut self, handler: CommandHandler<A>) -> Self {
        self.handlers.add(handler);
        self
    }

    /// Sends one command; what the process has to say to a refusal.
    async fn send(
        &self,
        event: &EventEnvelope,
        command: Box<dyn Issue>,
        place: usize,
    ) -> Result<Option<Rejection>, HandlerError> {
        let process = self.process.name();
        let (aggregate_type, aggregate_id) = command.aggregate();
        let key = format!("{process}/{}/{place}", event.event_id);
        let circumstances = Circumstances { process, event, key };
        match command.send(&self.handlers, circumstances).await? {
            Answer::Accepted => Ok(None),
            Answer::Rejected(reason) => {
                tracing::warn!(
                    process,
                    %aggregate_type,
                    %aggregate_id,
                    %reason,
                    event_type = %event.event_type,
                    caused_by = %event.event_id,
                    "a command of a process was rejected"
                );
                Ok(Some(Rejection { aggregate_type, aggregate_id, place, reason }))
            }
        }
    }
}

impl fmt::Debug for ProcessHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessHandler").field(&self.process.name()).finish()
    }
}

#[async_trait]
impl EventHandler for ProcessHandler {
    fn accepts(&self, aggregate_type: &str) -> bool {
        self.process.aggregate_types().contains(&aggregate_type)
    }

    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        let mut commands = Commands::default();
        self.process.react(event, &mut commands).map_err(HandlerError::poison)?;
        let mut instead = Commands::default();
        let reaction = commands.len();
        for (place, command) in commands.into_list().into_iter().enumerate() {
            if let Some(rejection) = self.send(event, command, place).await? {
                self.process
                    .rejected(event, &rejection, &mut instead)
                    .map_err(HandlerError::poison)?;
            }
        }
        // A refusal of these is only logged: whoever reacts to it without end gets nowhere.
        for (place, command) in (reaction..).zip(instead.into_list()) {
            self.send(event, command, place).await?;
        }
        Ok(Handled::Done)
    }
}
