//! An empty program: what the start and the end of a Rust program cost, as cargo links it (it loads libgcc_s; see
//! bin/build.rs).

fn main() {}
