//! Why a reply cannot be rendered.

/// Why a reply cannot be rendered: what [`Aggregate::respond`](crate::Aggregate::respond)
/// returned is not JSON, or is nested deeper than 128 levels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the response is not JSON that can be rendered: {reason} at byte {at}")]
pub struct ResponseError {
    /// What is wrong.
    pub reason: &'static str,
    /// Where.
    pub at: usize,
}
