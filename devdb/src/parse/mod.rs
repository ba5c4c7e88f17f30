//! From text to syntax tree: a lexer and a parser by recursive descent for CQL as
//! ScyllaDB 5.1 reads it.
pub mod ast;
mod cursor;
mod definition;
mod describe;
mod display;
#[cfg(test)]
mod fuzz;
mod keywords;
mod lexer;
mod modification;
mod options;
mod select;
mod statement;
mod terms;
#[cfg(test)]
mod tests;
mod type_names;

pub use keywords::quoted;
pub use statement::{parse_statement, parse_type};
