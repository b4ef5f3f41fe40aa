//! The `corveil` program.

fn main() {}
