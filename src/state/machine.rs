//! The identity of this machine. Several machines may share a state directory (a home on NFS, a volume of two
//! containers), but the installed files are local to each of them: the state of another machine says nothing about this
//! one.

use std::io::{ErrorKind, Read};

use fs_err::File;

use crate::env::Env;
use crate::error::{Error, Result, Status};

/// Written by systemd, by dbus and in most images. A minimal container may not have it.
const MACHINE_ID: &str = "/etc/machine-id";
/// A machine-id has 32 hex digits.
const ID_LENGTH: usize = 32;

/// The machine-id, if there is one, and the hostname. Both are needed: cloned machines have the same machine-id, and
/// replicas of a container have the same hostname.
///
/// # Errors
/// 73 if the machine-id exists but cannot be read, or if there is no hostname. A guess would look like another machine,
/// for which no state exists yet.
pub(super) fn this(env: &Env) -> Result<String> {
    let mut id = [0; ID_LENGTH];
    let read = match File::open(MACHINE_ID).and_then(|mut file| file.read(&mut id)) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => 0,
        read => read.map_err(|cause| unknown(&cause.to_string()))?,
    };
    let hostname = env.known_hostname().ok_or_else(|| unknown("it has no hostname"))?;
    Ok(format!("{} {hostname}", String::from_utf8_lossy(id.get(..read).unwrap_or_default())))
}

fn unknown(why: &str) -> Error {
    Status::CannotWrite.error(format!("the state of the file cannot be kept: this machine cannot be identified: {why}"))
}
