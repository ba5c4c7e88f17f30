//! A node's data over restarts, orderly and not.
mod contents;
mod damage;
mod node;
mod snapshots;
