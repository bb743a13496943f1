//! The system's log, as kvexpress uses it: each line is a datagram to /dev/log. If the daemon does not accept it at
//! once, it is lost.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::telemetry::level::Level;
use crate::util::text;

/// The socket of the system's log.
const SOCKET: &str = "/dev/log";
/// The maximum length of a line: the limit of RFC 3164, with room for the text that the daemon puts in front.
const MAX_LINE: usize = 900;

/// Facility `user`, of syslog(3).
const FACILITY: u8 = 1 << 3;

/// A connection to the system's log.
#[derive(Debug)]
pub struct Syslog {
    socket: UnixDatagram,
    path: PathBuf,
    tag: String,
}

impl Syslog {
    /// Opens the system's log under a tag; none if no socket can be created.
    pub fn open(tag: &str) -> Option<Syslog> {
        Syslog::open_at(Path::new(SOCKET), tag)
    }

    fn open_at(path: &Path, tag: &str) -> Option<Syslog> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Syslog { socket, path: path.to_owned(), tag: format!("{tag}[{}]", std::process::id()) })
    }

    /// Sends a line. The daemon adds the time. A line that is lost here is on stderr as well.
    pub fn send(&self, level: Level, line: &str) {
        let severity = match level {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 5, // Notice, which kvexpress uses for all of its lines.
            Level::Debug => 7,
        };
        let line: String = text::line(line).chars().take(MAX_LINE).collect();
        let _ = self.socket.send_to(format!("<{}>{}: {line}", FACILITY | severity, self.tag).as_bytes(), &self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;

    use super::Syslog;
    use crate::telemetry::level::Level;

    #[test]
    fn a_line_is_a_datagram_and_a_daemon_that_does_not_read_it_is_not_waited_for() {
        let directory = std::env::temp_dir().join(format!("kvx-syslog-{}", std::process::id()));
        let path = directory.join("log");
        let made = std::fs::create_dir(&directory).and_then(|()| UnixDatagram::bind(&path));
        let (Ok(listener), Some(syslog)) = (made, Syslog::open_at(&path, "kvexpress")) else {
            unreachable!("a socket in a directory of our own");
        };
        let mut buffer = [0; 2048];
        let mut received = |level, line: &str| {
            syslog.send(level, line);
            let length = listener.recv(&mut buffer).unwrap_or(0);
            String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned()
        };
        let tag = format!("kvexpress[{}]", std::process::id());
        assert_eq!(
            received(Level::Info, "hosts: 12 lines\ninstalled"),
            format!("<13>{tag}: hosts: 12 lines installed")
        );
        assert_eq!(received(Level::Error, "no"), format!("<11>{tag}: no"));
        assert!(received(Level::Debug, &"ä".repeat(5000)).chars().count() < 1000);
        for _ in 0..1000 {
            syslog.send(Level::Info, "not read"); // The queue is full soon; sending must not block then.
        }
        drop(listener);
        drop(std::fs::remove_dir_all(&directory));
        syslog.send(Level::Info, "not there");
        assert!(Syslog::open_at(Path::new("/nowhere/at/all"), "kvexpress").is_some());
    }
}
