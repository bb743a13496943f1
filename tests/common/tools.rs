//! The project's scripts that install or build what the tests need. Only one runs at a time.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use super::page::project;

/// Held while something is installed: apt-get has a lock of its own and fails, and two tests could install the same
/// program.
static INSTALLING: Mutex<()> = Mutex::new(());

/// As long as the guard lives, no test installs anything on this machine.
pub fn nothing_is_installed() -> MutexGuard<'static, ()> {
    INSTALLING.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Whether a program is installed or can be installed; reports the skipped test if not.
pub fn has(program: &str) -> bool {
    let _one_at_a_time = nothing_is_installed();
    let has = script("need").arg(program).status().unwrap().success();
    if !has {
        super::skipped(&format!("there is no {program} here"));
    }
    has
}

/// The path that a script of the project prints.
pub fn path_from(name: &str, arguments: &[&str]) -> PathBuf {
    let _one_at_a_time = nothing_is_installed();
    let output = script(name).args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{name} failed");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn script(name: &str) -> Command {
    Command::new(project().join("tests/tools").join(name))
}
