//! Which machine this is. A state directory may be shared by several (a home on NFS, a volume of two containers), while the
//! files that its state is about are local: what another machine has done says nothing about this one.

use std::io::{ErrorKind, Read};

use fs_err::File;

use crate::env::Env;
use crate::error::{Error, Result, Status};

/// By systemd, dbus and most images; a minimal container may have none.
const MACHINE_ID: &str = "/etc/machine-id";
/// 32 hex digits.
const LONGEST: usize = 32;

/// Its machine-id, if there is one, and its hostname: cloned machines have the same machine-id, replicas of a container the same
/// hostname.
///
/// # Errors
/// 73. A guess would look like another machine, for which nothing has been done yet.
pub(super) fn this(env: &Env) -> Result<String> {
    let mut id = [0; LONGEST];
    let read = match File::open(MACHINE_ID).and_then(|mut file| file.read(&mut id)) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => 0,
        read => read.map_err(|cause| unknown(&cause.to_string()))?,
    };
    let hostname = env.known_hostname().ok_or_else(|| unknown("it has no hostname"))?;
    Ok(format!("{} {hostname}", String::from_utf8_lossy(id.get(..read).unwrap_or_default())))
}

fn unknown(why: &str) -> Error {
    Status::CannotWrite.error(format!("the state of the file cannot be kept: it is not known on which machine: {why}"))
}
