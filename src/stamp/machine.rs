//! Which machine this is. A state directory may be shared by several (a home on NFS, a volume of two containers), while the
//! files that its state is about are local: what another machine has done says nothing about this one.

use std::io::Read;

use fs_err::File;

use crate::world::World;

/// By systemd, dbus and most images; a minimal container may have none.
const MACHINE_ID: &str = "/etc/machine-id";
/// 32 hex digits.
const LONGEST: usize = 32;

/// Its machine-id, if there is one, and its hostname: cloned machines have the same machine-id, replicas of a container the same
/// hostname.
pub(super) fn this(world: &World) -> String {
    let mut id = [0; LONGEST];
    let read = File::open(MACHINE_ID).and_then(|mut file| file.read(&mut id)).unwrap_or(0);
    format!("{} {}", String::from_utf8_lossy(id.get(..read).unwrap_or_default()), world.hostname())
}
