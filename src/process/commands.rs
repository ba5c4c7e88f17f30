//! Commands of several types of aggregates in one list.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;

use futures::future::BoxFuture;
use serde::Serialize;

use crate::aggregate::Aggregate;
use crate::command::{CommandError, CommandHandler};
use crate::consumer::HandlerError;
use crate::event::EventEnvelope;
use crate::ids::AggregateId;

/// What a process manager collects. Sent one after the other, in this order.
#[derive(Default)]
pub struct Commands {
    list: Vec<Box<dyn Issue>>,
}

impl Commands {
    /// A command to an aggregate.
    pub fn send<A: Aggregate>(&mut self, id: impl Into<AggregateId>, command: A::Command)
    where
        A::Command: Serialize + fmt::Debug + 'static,
    {
        self.list.push(Box::new(Issued::<A> { id: id.into(), command }));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The commands of one type of aggregate, for tests of a process manager.
    pub fn of<A: Aggregate>(&self) -> Vec<(AggregateId, &A::Command)>
    where
        A::Command: 'static,
    {
        let issued = self.list.iter().filter_map(|issue| issue.as_any().downcast_ref());
        issued.map(|Issued::<A> { id, command }| (*id, command)).collect()
    }

    pub(super) fn into_list(self) -> Vec<Box<dyn Issue>> {
        self.list
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.list).finish()
    }
}

/// The command handlers that a process may use, by type of aggregate.
#[derive(Default)]
pub(super) struct Handlers(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl Handlers {
    pub(super) fn add<A: Aggregate>(&mut self, handler: CommandHandler<A>) {
        self.0.insert(TypeId::of::<A>(), Box::new(handler));
    }

    fn get<A: Aggregate>(&self) -> Option<&CommandHandler<A>> {
        self.0.get(&TypeId::of::<A>())?.downcast_ref()
    }
}

/// What goes with a command.
pub(super) struct Circumstances<'e> {
    pub(super) process: &'static str,
    pub(super) event: &'e EventEnvelope,
    pub(super) key: String,
}

/// What became of a command that was answered.
pub(super) enum Answer {
    Accepted,
    Rejected(String),
}

/// A command whose aggregate's type is not known here.
pub(super) trait Issue: fmt::Debug + Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn aggregate(&self) -> (&'static str, AggregateId);
    fn send<'a>(
        self: Box<Self>,
        handlers: &'a Handlers,
        circumstances: Circumstances<'a>,
    ) -> BoxFuture<'a, Result<Answer, HandlerError>>;
}

struct Issued<A: Aggregate> {
    id: AggregateId,
    command: A::Command,
}

impl<A: Aggregate> fmt::Debug for Issued<A>
where
    A::Command: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} to {} {}", self.command, A::TYPE, self.id)
    }
}

impl<A: Aggregate> Issue for Issued<A>
where
    A::Command: Serialize + fmt::Debug + 'static,
{
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn aggregate(&self) -> (&'static str, AggregateId) {
        (A::TYPE, self.id)
    }

    fn send<'a>(
        self: Box<Self>,
        handlers: &'a Handlers,
        circumstances: Circumstances<'a>,
    ) -> BoxFuture<'a, Result<Answer, HandlerError>> {
        Box::pin(async move {
            let Circumstances { process, event, key } = circumstances;
            let handler = handlers.get::<A>().ok_or_else(|| {
                HandlerError::poison(format!(
                    "process {process} has no CommandHandler<{}>: give it one by \
                     ProcessHandler::with",
                    type_name::<A>()
                ))
            })?;
            let mut execute = handler
                .execute(self.id, self.command)
                .idempotency_key(key)
                .caused_by(event)
                .metadata("process", process);
            if let Some(tenant) = &event.metadata.tenant {
                execute = execute.metadata("tenant", tenant);
            }
            if let Some(traceparent) = &event.metadata.traceparent {
                execute = execute.metadata("traceparent", traceparent);
            }
            match execute.await {
                Ok(_) => Ok(Answer::Accepted),
                Err(error) => answer_of(error),
            }
        })
    }
}

/// What an error means to the event that the command was for.
fn answer_of<E: std::error::Error + Send + Sync + 'static>(
    error: CommandError<E>,
) -> Result<Answer, HandlerError> {
    match error {
        CommandError::Rejected(reason) => Ok(Answer::Rejected(reason.to_string())),
        CommandError::RejectedBefore { message, .. } => Ok(Answer::Rejected(message)),
        // An earlier build of the process has sent another command in this place: the event
        // has been acted on.
        error @ CommandError::KeyReused { .. } => Ok(Answer::Rejected(error.to_string())),
        // Nothing was written, or under the key it is found: the same again cannot act twice.
        error @ (CommandError::Conflict { .. }
        | CommandError::Unavailable { .. }
        | CommandError::Indeterminate { .. }
        | CommandError::ClockSkew { .. }) => Err(HandlerError::retry(error)),
        error @ (CommandError::TooLarge { .. }
        | CommandError::Invalid(_)
        | CommandError::Corrupt(_)) => Err(HandlerError::poison(error)),
    }
}
