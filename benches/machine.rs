//! The machine and the tools of a measurement.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::common::consul;

/// Finds a program in PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Consul Template: from PATH, from the cache, or downloaded now.
pub fn consul_template() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let get = || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/get-consul");
        let output = Command::new(script).arg("template").stderr(Stdio::inherit()).output().ok()?;
        output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    };
    FOUND.get_or_init(|| find("consul-template").or_else(get)).as_deref()
}

/// Prints the machine, the versions, and the tools that are missing.
pub fn print() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} x {}, {} of memory", field("/proc/cpuinfo", "model name"), field("/proc/meminfo", "MemTotal"));
    let files = said("findmnt", &["-n", "-o", "FSTYPE", "-T", env!("CARGO_TARGET_TMPDIR")]);
    let kernel = said("uname", &["-sr"]);
    println!("{kernel}, files on {files}, a load of {} before", said("cut", &["-d ", "-f1", "/proc/loadavg"]));
    let commit = said("git", &["describe", "--always", "--dirty"]);
    println!("kvx {} ({commit}), {}", env!("CARGO_PKG_VERSION"), said("rustc", &["--version"]));
    println!("{}", said(&consul::binary().to_string_lossy(), &["version"]));
    for tool in ["curl", "strace", "valgrind"] {
        match find(tool) {
            Some(_) => println!("{}", said(tool, &["--version"]).split(" (").next().unwrap_or_default()),
            None => println!("{tool} is not installed: what needs it is left out"),
        }
    }
    println!();
}

/// The value of a `name: value` line.
fn field(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    value.map_or("?".into(), |(_, value)| value.trim().to_owned())
}

/// The first line of a program's output.
pub fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("?").to_owned()
}
