//! DESCRIBE, with what only the node knows.

use super::Engine;
use crate::error::Result;
use crate::execute::{self, Described};
use crate::parse::ast::Describe;
use crate::request::Rows;

impl Engine {
    pub(super) fn describe_schema(
        &self,
        describe: &Describe,
        current: Option<&str>,
    ) -> Result<Rows> {
        let from = Described {
            catalog: &self.catalog.load(),
            current,
            cluster_name: &self.config.cluster_name,
            ring: (&self.config.address.to_string(), self.executor.cdc.streams().tokens()),
        };
        execute::describe(from, describe)
    }
}
