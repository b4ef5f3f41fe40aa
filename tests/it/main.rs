//! What Corveil does to a real PostgreSQL, scenario by scenario: this file is the contents page.
//!
//! Each test has a database of its own on one server that this process starts and ends. `cargo xtask test` installs what
//! that needs; where it is installed, `cargo test` is enough. `support` is the vocabulary the scenarios are written in.

mod support;

// The instruments themselves: a scenario can only be believed if these tell the truth.
mod harness;
