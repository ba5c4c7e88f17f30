//! Derive macros of the `messina` crate, which re-exports them: depend on that one.
