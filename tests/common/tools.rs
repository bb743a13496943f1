//! The project's scripts that get what the tests need from this machine's package manager, or build it: one at a time.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use super::page::project;

/// apt-get lets only one run at a time change the machine, and two tests that miss the same program would both get it.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Until it is dropped, no test installs anything on this machine.
pub fn nothing_is_installed() -> MutexGuard<'static, ()> {
    INSTALLING.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Whether this machine has a program, or gets it; says so if not.
pub fn has(program: &str) -> bool {
    let _one_at_a_time = nothing_is_installed();
    let has = script("need").arg(program).status().unwrap().success();
    if !has {
        super::skipped(&format!("there is no {program} here"));
    }
    has
}

/// The path that such a script prints.
pub fn path_from(name: &str, arguments: &[&str]) -> PathBuf {
    let _one_at_a_time = nothing_is_installed();
    let output = script(name).args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{name} failed");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn script(name: &str) -> Command {
    Command::new(project().join("tests/tools").join(name))
}
