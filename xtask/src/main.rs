//! The project's own tasks, run as `cargo xtask <task>`.

fn main() {}
