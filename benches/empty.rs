//! Nothing: what the start and the end of a Rust program cost.

use kvx as _; // Linked as kvx-out is: without libgcc_s, see bin/build.rs.

fn main() {}
