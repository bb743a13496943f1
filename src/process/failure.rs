//! Why a program could not be started, and the remedy for that cause. The system's error number says little, so this
//! module looks at the file after the failure.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, access};

use crate::util::{open, text};

/// The number of bytes that the kernel reads of a program to find its interpreter.
const HEAD_LENGTH: u64 = 256;

/// The attempt to start a program.
#[derive(Debug)]
pub(super) struct Attempt {
    name: PathBuf,
    directory: Option<PathBuf>,
}

impl Attempt {
    pub fn new(command: &Command) -> Attempt {
        Attempt { name: command.get_program().into(), directory: command.get_current_dir().map(Path::to_owned) }
    }

    /// The same error, with its remedy.
    pub fn explain(&self, cause: &io::Error) -> io::Error {
        match self.remedy(cause) {
            Some(remedy) => io::Error::new(cause.kind(), format!("{cause}; {remedy}")),
            None => io::Error::new(cause.kind(), cause.to_string()),
        }
    }

    fn remedy(&self, cause: &io::Error) -> Option<String> {
        match Errno::from_raw(cause.raw_os_error()?) {
            Errno::ENOENT => Some(self.not_found()),
            Errno::EACCES => self.denied(),
            Errno::ENOEXEC => Some(self.not_executable()),
            Errno::EAGAIN => Some("this user's limit of processes is reached (ulimit -u, TasksMax=)".into()),
            Errno::ENOMEM => Some("there is not enough memory (ulimit -v, MemoryMax=)".into()),
            Errno::EMFILE => Some("the limit of open files is reached; raise it (ulimit -n, LimitNOFILE=)".into()),
            Errno::ENFILE => Some("the system's limit of open files is reached (fs.file-max)".into()),
            Errno::ETXTBSY => Some("another process has it open for writing; try again when it is complete".into()),
            Errno::E2BIG => Some("its arguments and environment are too large".into()),
            Errno::ENOTDIR => Some("a part of its path is not a directory; correct the path".into()),
            _ => None,
        }
    }

    fn not_found(&self) -> String {
        let Some(path) = self.found() else {
            return match (self.is_path(), self.name.is_absolute(), &self.directory) {
                (false, ..) => "it is not in PATH; install it, or give its full path".into(),
                (_, true, _) => "there is no such file; install it, or correct the path".into(),
                (_, _, Some(directory)) => format!("it is run in {}; give its full path", directory.display()),
                (_, _, None) => "there is no such file below the working directory; give its full path".into(),
            };
        };
        // The file exists, so its interpreter or its loader is missing.
        match Head::read(&path) {
            Head::Script(interpreter) if interpreter.ends_with('\r') => format!(
                "its first line ends with a carriage return, as on Windows; remove it: sed -i 's/\\r$//' {}",
                text::quoted(&path.to_string_lossy())
            ),
            Head::Script(interpreter) => format!(
                "its first line names the interpreter {}, which does not exist; install it, or correct the line",
                text::excerpt(&interpreter)
            ),
            Head::Binary => "it needs a loader that does not exist: is it built for another system?".into(),
            Head::Unknown => "it is a link to a file that does not exist, or is being replaced".into(),
        }
    }

    fn denied(&self) -> Option<String> {
        let path = self.found()?;
        let is_executable = access(&path, AccessFlags::X_OK).is_ok();
        if path.is_dir() {
            Some("it is a directory; name a program in it".into())
        } else if statvfs(&path).is_ok_and(|system| system.flags().contains(FsFlags::ST_NOEXEC)) {
            Some("its file system is mounted with noexec; put it elsewhere".into())
        } else if !is_executable {
            Some(format!(
                "this user cannot execute {}; make it executable (chmod +x)",
                text::line(&path.to_string_lossy())
            ))
        } else if let Head::Script(interpreter) = Head::read(&path) {
            Some(format!("this user cannot execute its interpreter {}", text::excerpt(&interpreter)))
        } else {
            None
        }
    }

    fn not_executable(&self) -> String {
        match self.found().map(|path| Head::read(&path)) {
            Some(Head::Binary) => "it is a program for another machine, or damaged".into(),
            _ => "its first line does not name an interpreter; begin it with #!/bin/sh, for example".into(),
        }
    }

    fn is_path(&self) -> bool {
        self.name.as_os_str().as_bytes().contains(&b'/')
    }

    /// The file that exec found, even if it cannot be executed. A directory counts only if the name is a path.
    fn found(&self) -> Option<PathBuf> {
        let directory = self.directory.clone().unwrap_or_default();
        if self.is_path() {
            let path = directory.join(&self.name);
            return path.symlink_metadata().is_ok().then_some(path);
        }
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
        let found = std::env::split_paths(&path).map(|part| directory.join(part).join(&self.name));
        let files: Vec<PathBuf> = found.filter(|path| path.symlink_metadata().is_ok_and(|is| !is.is_dir())).collect();
        let executable = files.iter().find(|path| access(path.as_path(), AccessFlags::X_OK).is_ok());
        executable.or(files.first()).cloned()
    }
}

/// What a program's file begins with.
enum Head {
    /// `#!` and this interpreter.
    Script(String),
    /// An ELF header.
    Binary,
    /// Anything else, or a file that cannot be read.
    Unknown,
}

impl Head {
    /// Reads the head of a program. Follows links, but opens no device and no FIFO.
    fn read(path: &Path) -> Head {
        let mut head = Vec::new();
        let read = path.canonicalize().and_then(|path| open::regular(&path)?.take(HEAD_LENGTH).read_to_end(&mut head));
        let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
        match (read, line.strip_prefix(b"#!")) {
            (Err(_), _) => Head::Unknown,
            (Ok(_), None) if head.starts_with(b"\x7fELF") => Head::Binary,
            (Ok(_), None) => Head::Unknown,
            (Ok(_), Some(line)) => {
                let line = String::from_utf8_lossy(line);
                Head::Script(line.trim_start_matches([' ', '\t']).split([' ', '\t']).next().unwrap_or_default().into())
            }
        }
    }
}
