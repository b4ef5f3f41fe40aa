//! The project's own tasks, run as `cargo xtask <task>`.

mod bench;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own tasks")]
enum Task {
    /// Compare speed, memory and size with psql and other migration programs.
    Bench(bench::Args),
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Bench(args) => bench::run(&args),
    }
}
