//! The usual forms of watches, in an agent's configuration and in `consul watch`, for the tests of watches.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::process::Child;

use crate::common::run::{Ran, Run, binary};
use crate::common::{Consul, Place, sha256};
use serde_json::{Value, json};

/// What kvx-out's line of an agent's configuration looks like.
#[derive(Debug, Clone)]
pub struct Form {
    pub watch: Watch,
    /// With `-k`.
    pub key: bool,
    /// As one string for a shell: an agent's deprecated `handler`, or `consul watch` without `-shell=false`.
    pub shell: bool,
    /// `-s`, if not the agent itself.
    pub server: Option<String>,
    /// `-e`, if not [`Place::handler`].
    pub handler: Option<String>,
    pub handler_timeout: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Watch {
    Key(&'static str),
    /// As people write it, with a slash in front.
    SlashKey(&'static str),
    Prefix,
    Event,
}

impl Default for Form {
    fn default() -> Form {
        Form {
            watch: Watch::Key("checksum"),
            key: true,
            shell: false,
            server: None,
            handler: None,
            handler_timeout: "30s",
        }
    }
}

impl Form {
    /// An agent's watch: kvexpress's own options.
    pub fn watch(&self, place: &Place) -> Value {
        let mut watch = match self.watch {
            Watch::Key(part) => json!({"type": "key", "key": place.kv(part)}),
            Watch::SlashKey(part) => json!({"type": "key", "key": format!("/{}", place.kv(part))}),
            Watch::Prefix => json!({"type": "keyprefix", "prefix": place.kv("")}),
            Watch::Event => json!({"type": "event", "name": place.key}),
        };
        let words = self.words(place);
        if self.shell {
            watch["handler"] = shell_words::join(words).into();
        } else {
            watch["args"] = words.into();
        }
        watch
    }

    pub fn words(&self, place: &Place) -> Vec<String> {
        let mut words = vec![binary("kvx-out").display().to_string()];
        words.extend(self.options(place));
        words
    }

    pub fn options(&self, place: &Place) -> Vec<String> {
        let server = self.server.clone().unwrap_or_else(|| place.consul.address.clone());
        let state = place.path().join("state").display().to_string();
        let file = place.file().display().to_string();
        let handler = self.handler.clone().unwrap_or_else(|| place.handler());
        let mut words: Vec<String> = if self.key { vec!["-k".into(), place.key.clone()] } else { Vec::new() };
        words.extend(
            ["-f", &file, "-l", "10", "-c", "00644", "-e", &handler, "-s", &server, "--state-dir", &state]
                .map(str::to_owned),
        );
        words.extend(["--handler-timeout".into(), self.handler_timeout.into()]);
        words
    }

    /// The same command as a timer runs it: no payload.
    pub fn timer(&self, place: &Place) -> Ran {
        Run::new("kvx-out", &place.consul.address).args(self.options(place)).run()
    }
}

/// Gives an agent these watches: they start at once.
pub fn watched(consul: &Consul, watches: &[Value]) {
    consul.configure(&json!({"watches": watches}).to_string());
    consul.reload();
}

/// What each run of the watch of this place has said, once there are at least `n`.
pub fn fires(place: &Place, n: usize) -> Vec<String> {
    place.consul.handler_runs(&place.key, n)
}

/// How many kvx-out of this place run now.
pub fn running(place: &Place) -> usize {
    let program = binary("kvx-out");
    let is_ours = |command: &[u8]| {
        let command = String::from_utf8_lossy(command);
        command.starts_with(program.to_str().unwrap()) && command.contains(&place.key)
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| std::fs::read(process.path().join("cmdline")).is_ok_and(|command| is_ours(&command)))
        .count()
}

/// Another one after any write, rename, chmod or chown.
pub fn identity(place: &Place) -> [i64; 5] {
    let is = std::fs::metadata(place.file()).unwrap();
    [is.ino().cast_signed(), is.mtime(), is.mtime_nsec(), is.ctime(), is.ctime_nsec()]
}

/// What keeps a file as it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Marker {
    Stop,
    LockInConsul,
    LockedFile,
}

impl Marker {
    /// Sets it; the result takes it away.
    pub fn set(self, place: &Place) -> Box<dyn FnOnce() + '_> {
        let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
        let in_consul = match self {
            Marker::Stop => place.kv("stop"),
            Marker::LockInConsul => format!("kvexpress/locks/{}/{host}", sha256(place.file().to_str().unwrap())),
            Marker::LockedFile => {
                let marker = place.path().join("out/hosts.locked");
                std::fs::write(&marker, "Reason Locked: the disk is on fire\n").unwrap();
                return Box::new(move || std::fs::remove_file(marker).unwrap());
            }
        };
        place.consul.put(&in_consul, "the disk is on fire");
        Box::new(move || place.consul.delete(&in_consul))
    }

    pub fn says(self) -> &'static str {
        if self == Marker::Stop { "stopped" } else { "locked on this node" }
    }
}

/// A running `consul watch`.
pub struct ConsulWatch {
    pub child: Child,
    pub log: std::path::PathBuf,
}

impl ConsulWatch {
    pub fn start(place: &Place, form: &Form) -> ConsulWatch {
        let what = match form.watch {
            Watch::Key(part) => ["-type=key".into(), format!("-key={}", place.kv(part))],
            Watch::Prefix => ["-type=keyprefix".into(), format!("-prefix={}", place.kv(""))],
            Watch::SlashKey(_) | Watch::Event => panic!("not in this test"),
        };
        let mut command = place.consul.command(&["watch", &what[0], &what[1]]);
        if form.shell {
            command.arg(shell_words::join(form.words(place))).env("SHELL", "/bin/sh");
        } else {
            command.arg("-shell=false").args(form.words(place));
        }
        let log = place.path().join("watch.log");
        let file = File::create(&log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        ConsulWatch { child: command.spawn().unwrap(), log }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for ConsulWatch {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
