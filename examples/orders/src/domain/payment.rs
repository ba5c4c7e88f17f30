//! Payments of orders.

use chrono::{DateTime, Utc};
use messina::{Aggregate, AggregateId, DomainEvent};
use serde::{Deserialize, Serialize};

/// A payment; before it is received there is nothing to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    received: Option<(AggregateId, i64)>,
    refunded: bool,
}

/// A request to a payment. Times come with the request, since decisions ask no clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum PaymentCommand {
    /// The money has come.
    Receive {
        /// What it pays for.
        order_id: AggregateId,
        /// How much.
        cents: i64,
        /// When.
        at: DateTime<Utc>,
    },
    /// Gives the money back.
    Refund {
        /// Why.
        reason: String,
        /// When.
        at: DateTime<Utc>,
    },
}

/// What can happen to a payment.
#[derive(Debug, Clone, PartialEq, DomainEvent)]
#[event(prefix = "Payment")]
pub enum PaymentEvent {
    /// The money has come.
    Received {
        /// What it pays for.
        order_id: AggregateId,
        /// How much.
        cents: i64,
        /// When.
        received_at: DateTime<Utc>,
    },
    /// The money has been given back.
    Refunded {
        /// What it had paid for.
        order_id: AggregateId,
        /// How much.
        cents: i64,
        /// Why.
        reason: String,
        /// When.
        refunded_at: DateTime<Utc>,
    },
}

/// Why a payment refuses a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaymentError {
    /// A payment is received once.
    #[error("the payment has been received already")]
    AlreadyReceived,
    /// There is nothing to give back.
    #[error("there is no such payment")]
    NotReceived,
    /// It has been given back.
    #[error("the payment has been given back already")]
    AlreadyRefunded,
    /// Nobody pays nothing, or less.
    #[error("{cents} cents is no payment")]
    InvalidAmount {
        /// As asked for.
        cents: i64,
    },
}

impl Payment {
    /// Whether it has been given back.
    pub fn is_refunded(&self) -> bool {
        self.refunded
    }
}

impl Aggregate for Payment {
    const TYPE: &'static str = "Payment";
    type Command = PaymentCommand;
    type Event = PaymentEvent;
    type Error = PaymentError;

    fn handle(&self, command: &PaymentCommand) -> Result<Vec<PaymentEvent>, PaymentError> {
        match (command, self.received) {
            (PaymentCommand::Receive { .. }, Some(_)) => Err(PaymentError::AlreadyReceived),
            (PaymentCommand::Receive { cents, .. }, None) if *cents <= 0 => {
                Err(PaymentError::InvalidAmount { cents: *cents })
            }
            (PaymentCommand::Receive { order_id, cents, at }, None) => {
                let (order_id, cents, received_at) = (*order_id, *cents, *at);
                Ok(vec![PaymentEvent::Received { order_id, cents, received_at }])
            }
            (PaymentCommand::Refund { .. }, None) => Err(PaymentError::NotReceived),
            (PaymentCommand::Refund { .. }, _) if self.refunded => {
                Err(PaymentError::AlreadyRefunded)
            }
            (PaymentCommand::Refund { reason, at }, Some((order_id, cents))) => {
                let (reason, refunded_at) = (reason.clone(), *at);
                Ok(vec![PaymentEvent::Refunded { order_id, cents, reason, refunded_at }])
            }
        }
    }

    fn apply(&mut self, event: &PaymentEvent) {
        match event {
            PaymentEvent::Received { order_id, cents, .. } => {
                self.received = Some((*order_id, *cents));
            }
            PaymentEvent::Refunded { .. } => self.refunded = true,
        }
    }
}
