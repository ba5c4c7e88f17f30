//! One binary for all integration tests: a folder per topic.
