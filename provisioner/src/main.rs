//! The `rolecall` program.
fn main() {}
