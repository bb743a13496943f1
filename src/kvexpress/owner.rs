//! The owner of the installed file: a user, with that user's primary group. Without `-o` it is the current user, even if the old
//! file belongs to another one.

use nix::errno::Errno;
use nix::unistd::{Uid, User, getgid, getuid};

use crate::error::{Error, Result, Status};
use crate::install::Attributes;

/// The owner and the mode, as numbers.
///
/// # Errors
/// 78 if this machine does not know the user. (kvexpress used the current user then.)
pub fn attributes(owner: &str, mode: u32) -> Result<Attributes> {
    let (user, group) = match owner {
        "" => {
            let user = getuid();
            let known = User::from_uid(user).map_err(|errno| unknown(&user, errno))?;
            (user, known.map_or_else(getgid, |user| user.gid))
        }
        name => {
            let user = User::from_name(name).map_err(|errno| unknown(&name, errno))?;
            let number = || name.parse().ok().and_then(|number| User::from_uid(Uid::from_raw(number)).ok().flatten());
            let user = user.or_else(number).ok_or_else(|| unknown(&name, Errno::ENOENT))?;
            (user.uid, user.gid)
        }
    };
    Ok(Attributes { mode: Some(mode), user: Some(user.to_string()), group: Some(group.to_string()) })
}

fn unknown(user: &dyn std::fmt::Display, errno: Errno) -> Error {
    Status::Configuration.error(match errno {
        Errno::ENOENT => format!("-o: there is no user \"{user}\" on this machine; create it or name another"),
        errno => format!("-o: the user \"{user}\" cannot be looked up: {errno}; try again"),
    })
}
