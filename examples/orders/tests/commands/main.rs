//! The three commands as an operator runs them: processes, exit codes, what they print.

mod bad_input;
mod demo;
mod import;
mod load;
mod pages;
mod process;
mod rebuild;
mod runner;
mod session;
mod shipping;
