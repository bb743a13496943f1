//! Nothing: what the start and the end of a Rust program cost, as cargo links it (so it has libgcc_s to load; see bin/build.rs).

fn main() {}
