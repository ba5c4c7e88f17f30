//! The three commands as an operator runs them: processes, exit codes, what they print.

mod bad_input;
mod demo;
mod process;
mod runner;
