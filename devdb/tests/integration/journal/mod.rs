//! Data that outlives a node and its process.
mod kills;
mod restarts;
