//! Other users and machines, simulated: another uid, another hostname.

use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use super::run::{Run, copy_of};
use super::{Place, Ran};

/// A local user without a name, a group or a home.
pub const ALICE: u32 = 54_201;
/// Another local user.
pub const BOB: u32 = 54_202;

/// Whether this test can become other users; reports the skipped test if not.
pub fn can(what: &str) -> bool {
    let can = nix::unistd::getuid().is_root();
    if !can {
        super::skipped(&format!("{what}: only root can play other users"));
    }
    can
}

/// Whether namespaces of this kind can be created here; reports the skipped test if not.
pub fn has_namespace(option: &str, what: &str) -> bool {
    let has = Command::new("unshare").args([option, "true"]).output().is_ok_and(|ran| ran.status.success());
    if !has {
        super::skipped(&format!("{what}: this machine makes no namespaces (unshare {option})"));
    }
    has
}

/// Creates a directory of this user, with this mode.
pub fn directory_of(user: u32, path: &Path, mode: u32) {
    std::fs::create_dir_all(path).unwrap();
    chown(path, Some(user), Some(user)).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// A run of a program of kvx as this user, from a place that every user can enter.
pub fn as_user(place: &Place, user: u32, program: &str) -> Run {
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let copy = place.path().join(program);
    if !copy.exists() {
        copy_of(program, &copy);
    }
    let id = user.to_string();
    let setpriv = ["--reuid", &id, "--regid", &id, "--clear-groups", "--"];
    Run::new("/usr/bin/setpriv", &place.consul.address).args(setpriv).arg(copy)
}

/// Runs the command on a machine with this hostname.
pub fn on_machine(name: &str, run: Run) -> Ran {
    let mut elsewhere = Run::new("/usr/bin/unshare", "");
    elsewhere.command.args(["--uts", "sh", "-c", "hostname \"$0\" && exec \"$@\"", name]);
    elsewhere.command.arg(run.command.get_program()).args(run.command.get_args());
    for (name, value) in run.command.get_envs() {
        match value {
            Some(value) => elsewhere.command.env::<&OsStr, &OsStr>(name, value),
            None => elsewhere.command.env_remove(name),
        };
    }
    elsewhere.run()
}
