//! Links libgcc statically.

fn main() {
    println!("cargo::rerun-if-changed=bin/build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|is| is == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        // A program needs libgcc only to print a panic's backtrace. As a shared library it costs each run 0.1 ms. Linked statically,
        // it is the build machine's: from gcc 12 on, it needs a glibc with _dl_find_object (2.35).
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
