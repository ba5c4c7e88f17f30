//! Data that outlives a node and its process.
mod kills;
mod program;
mod restarts;
