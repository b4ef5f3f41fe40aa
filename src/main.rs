//! The `corveil` program.

fn main() -> std::process::ExitCode {
    corveil::run()
}
