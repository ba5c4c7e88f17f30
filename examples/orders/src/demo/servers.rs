//! The servers: embedded, unless real ones are named.

use std::fmt;

use messina::Aggregate;
use messina::publisher::topic_of;
use messina_devdb::DevDb;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::demo::DemoArguments;
use crate::domain::Order;
use crate::service::ServiceError;

/// Of the embedded broker's topic.
const PARTITIONS: i32 = 6;

/// scylla-cdc runs a reader per vnode and group: few of them suit one small machine.
const VNODES: u32 = 4;

/// Where the servers are, and those that are ours.
pub(super) struct Servers {
    pub(super) scylla: String,
    pub(super) kafka: String,
    node: Option<DevDb>,
    broker: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Servers {
    pub(super) async fn start(arguments: &DemoArguments) -> Result<Self, ServiceError> {
        let (scylla, node) = match &arguments.scylla {
            Some(address) => (address.clone(), None),
            None => {
                let node = DevDb::builder().vnodes(VNODES).start().await.map_err(|error| {
                    ServiceError::Demo(format!("the embedded node does not start: {error}"))
                })?;
                (node.contact_point(), Some(node))
            }
        };
        let (kafka, broker) = match &arguments.kafka {
            Some(address) => (address.clone(), None),
            None => {
                let failed = |error| {
                    ServiceError::Demo(format!("the embedded broker does not start: {error}"))
                };
                let broker = MockCluster::new(1).map_err(failed)?;
                broker.create_topic(&topic_of(Order::TYPE), PARTITIONS, 1).map_err(failed)?;
                (broker.bootstrap_servers(), Some(broker))
            }
        };
        Ok(Self { scylla, kafka, node, broker })
    }

    /// Stops what is ours.
    pub(super) async fn stop(self) {
        drop(self.broker);
        if let Some(node) = self.node {
            node.shutdown().await;
        }
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |embedded| if embedded { "embedded" } else { "real" };
        write!(
            f,
            "ScyllaDB {} ({}), Kafka {} ({})",
            self.scylla,
            kind(self.node.is_some()),
            self.kafka,
            kind(self.broker.is_some())
        )
    }
}
