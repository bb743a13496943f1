//! How the programs are linked.

fn main() {
    println!("cargo::rerun-if-changed=bin/build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|is| is == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        // Of libgcc, a program needs what prints a panic's backtrace. Loaded as a library it costs each run 0.1 ms. Linked in, it
        // is that of the machine that builds: from gcc 12 on, it wants a glibc that has _dl_find_object (2.35).
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
