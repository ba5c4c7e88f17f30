//! What a command touched, as a client's cache wants to know it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What events touched besides the aggregate itself, which every event touches. Told by
/// [`Aggregate::impact`](crate::Aggregate::impact), sent to clients by
/// [`messina::response`](crate::response).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Impact {
    /// The aggregate is gone for clients: it counts as deleted, not as updated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletes_itself: bool,
    /// Other things that are not as they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updated: Vec<Touched>,
    /// Other things that are no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleted: Vec<Touched>,
    /// Names of queries whose remembered results are no longer right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalidations: Vec<Cow<'static, str>>,
}

/// Names a thing to clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// Its type, as `__typename`.
    pub typename: Cow<'static, str>,
    /// Which one.
    pub id: String,
}

impl Impact {
    /// Nothing but the aggregate itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// The aggregate itself is gone.
    pub fn deletes_itself(mut self) -> Self {
        self.deletes_itself = true;
        self
    }

    /// This is not as it was.
    pub fn updates(
        mut self,
        typename: impl Into<Cow<'static, str>>,
        id: impl Into<String>,
    ) -> Self {
        self.updated.push(Touched { typename: typename.into(), id: id.into() });
        self
    }

    /// This is no more.
    pub fn deletes(
        mut self,
        typename: impl Into<Cow<'static, str>>,
        id: impl Into<String>,
    ) -> Self {
        self.deleted.push(Touched { typename: typename.into(), id: id.into() });
        self
    }

    /// This query's remembered results are no longer right.
    pub fn invalidates(mut self, query: impl Into<Cow<'static, str>>) -> Self {
        self.invalidations.push(query.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_with_a_reply_is_read_back() {
        let impact = Impact::new()
            .deletes_itself()
            .updates("Customer", "alfki")
            .deletes("Draft", "7")
            .invalidates("ordersByStatus");
        let json = serde_json::to_string(&impact).unwrap();
        assert_eq!(serde_json::from_str::<Impact>(&json).unwrap(), impact);
        assert_eq!(serde_json::to_string(&Impact::new()).unwrap(), "{}");
    }
}
