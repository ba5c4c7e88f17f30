//! What a payment calls for: the order is shipped, or the money given back.

use messina::process::{Commands, ProcessError, ProcessHandler, ProcessManager, Rejection};
use messina::{Aggregate, CommandHandler, EventEnvelope, EventStore};

use crate::domain::{Order, OrderCommand, Payment, PaymentCommand, PaymentEvent};

/// The process's name, and its group's.
pub const SHIP_WHEN_PAID: &str = "ship_when_paid";

/// Ships an order when its payment has come; one that cannot be shipped (it is cancelled,
/// not confirmed, there is none) has its payment given back.
#[derive(Debug, Clone, Copy)]
pub struct ShipWhenPaid;

impl ShipWhenPaid {
    /// The handler of its group.
    pub fn handler(store: &EventStore) -> ProcessHandler {
        // What was refused stays refused: the money is on its way back.
        let orders = CommandHandler::<Order>::builder(store.clone()).record_rejections(true);
        ProcessHandler::new(Self)
            .with(orders.build())
            .with(CommandHandler::<Payment>::new(store.clone()))
    }
}

impl ProcessManager for ShipWhenPaid {
    fn name(&self) -> &'static str {
        SHIP_WHEN_PAID
    }

    fn aggregate_types(&self) -> &'static [&'static str] {
        &[Payment::TYPE]
    }

    fn react(&self, event: &EventEnvelope, commands: &mut Commands) -> Result<(), ProcessError> {
        if let PaymentEvent::Received { order_id, received_at, .. } = event.decode_event()? {
            let shipper = "Speedy Express".to_owned();
            let ship = OrderCommand::Ship { shipper, freight_cents: 0, at: received_at };
            commands.send::<Order>(order_id, ship);
        }
        Ok(())
    }

    fn rejected(
        &self,
        event: &EventEnvelope,
        rejection: &Rejection,
        commands: &mut Commands,
    ) -> Result<(), ProcessError> {
        if let PaymentEvent::Received { received_at, .. } = event.decode_event()? {
            let refund =
                PaymentCommand::Refund { reason: rejection.reason.clone(), at: received_at };
            commands.send::<Payment>(event.aggregate_id, refund);
        }
        Ok(())
    }
}
