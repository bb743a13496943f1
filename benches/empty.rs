//! Nothing: what the start and the end of a Rust program cost.

fn main() {}
