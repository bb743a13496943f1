//! The system's log, as kvexpress has it: a line is a datagram to /dev/log. Whoever does not take it at once does not get it.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::telemetry::level::Level;
use crate::util::text;

/// Where the log listens.
const LOG: &str = "/dev/log";
/// Of a line, so much: what RFC 3164 lets through, with room for what the daemon puts in front.
const LONGEST: usize = 900;

/// Facility `user`, of syslog(3).
const USER: u8 = 1 << 3;

/// A way there.
#[derive(Debug)]
pub struct Syslog {
    socket: UnixDatagram,
    to: PathBuf,
    tag: String,
}

impl Syslog {
    /// To the system's, under a tag; none where there can be no socket.
    pub fn open(tag: &str) -> Option<Syslog> {
        Syslog::to(Path::new(LOG), tag)
    }

    fn to(path: &Path, tag: &str) -> Option<Syslog> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Syslog { socket, to: path.to_owned(), tag: format!("{tag}[{}]", std::process::id()) })
    }

    /// Logs a line. Daemons put the time in front, and what was not taken is on stderr, too.
    pub fn tell(&self, level: Level, line: &str) {
        let severity = match level {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 5, // Notice, as kvexpress has all of its lines.
            Level::Debug => 7,
        };
        let line: String = text::line(line).chars().take(LONGEST).collect();
        let _ = self.socket.send_to(format!("<{}>{}: {line}", USER | severity, self.tag).as_bytes(), &self.to);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;

    use super::Syslog;
    use crate::telemetry::level::Level;

    #[test]
    fn a_line_is_a_datagram_and_whoever_does_not_take_it_is_not_waited_for() {
        let directory = std::env::temp_dir().join(format!("kvx-syslog-{}", std::process::id()));
        let path = directory.join("log");
        let made = std::fs::create_dir(&directory).and_then(|()| UnixDatagram::bind(&path));
        let (Ok(listener), Some(syslog)) = (made, Syslog::to(&path, "kvexpress")) else {
            unreachable!("a socket in a directory of our own");
        };
        let mut buffer = [0; 2048];
        let mut heard = |level, line: &str| {
            syslog.tell(level, line);
            let length = listener.recv(&mut buffer).unwrap_or(0);
            String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned()
        };
        let tag = format!("kvexpress[{}]", std::process::id());
        assert_eq!(heard(Level::Info, "hosts: 12 lines\ninstalled"), format!("<13>{tag}: hosts: 12 lines installed"));
        assert_eq!(heard(Level::Error, "no"), format!("<11>{tag}: no"));
        assert!(heard(Level::Debug, &"ä".repeat(5000)).chars().count() < 1000);
        for _ in 0..1000 {
            syslog.tell(Level::Info, "nobody reads this"); // Its queue is full soon: this ends all the same.
        }
        drop(listener);
        drop(std::fs::remove_dir_all(&directory));
        syslog.tell(Level::Info, "nobody is there");
        assert!(Syslog::to(Path::new("/nowhere/at/all"), "kvexpress").is_some());
    }
}
