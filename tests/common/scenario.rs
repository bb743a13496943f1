//! Runs of `kvx-out` that are repeated, each time with another fault, and the conditions that must hold after each.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use nix::unistd::{Group, User, getgid, getuid};

use super::strace::{End, Fault, Met, Trace};
use super::{Place, Run, lines, sha256, wait_for};

/// A run of `kvx-out` that has something to do.
pub struct Scenario {
    pub name: &'static str,
    /// The file that kvx-out has installed before, if any. If it is the new document already, its handler is pending.
    pub old: Option<Look>,
    pub new: Look,
    /// The value of `-f`: the file, or a link to it.
    pub file: &'static str,
    /// The watch that starts the run: on the checksum, or on the folder.
    pub watch: Option<&'static str>,
    /// More options. `-o` is added if the owner is to change.
    pub options: &'static [&'static str],
    /// Whether a reader sees only whole files. Not with `--in-place`: there, only the file after the next run is
    /// promised.
    pub whole: bool,
    /// The minimum number of faults that are met, a little less than observed, so that the test cannot become empty
    /// unnoticed.
    pub at_least: usize,
}

/// A file.
#[derive(Clone, Copy)]
pub struct Look {
    pub lines: usize,
    pub mode: u32,
    pub owner: Owner,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Owner {
    Ours,
    /// Another user, if this test may give files away; otherwise the test's own user.
    Daemon,
}
/// A file as a reader sees it: content, mode, user and group.
#[derive(Clone, Debug, PartialEq)]
struct Seen(String, u32, u32, u32);

impl Look {
    fn seen(self) -> Seen {
        let (user, group) = match self.owner {
            Owner::Daemon if getuid().is_root() => {
                (User::from_name("daemon").unwrap().unwrap().uid, Group::from_name("daemon").unwrap().unwrap().gid)
            }
            _ => (getuid(), getgid()),
        };
        Seen(lines(self.lines), self.mode, user.as_raw(), group.as_raw())
    }
}

/// A place where a scenario is run repeatedly.
pub struct Site {
    scenario: &'static Scenario,
    place: Place,
    payload: Vec<u8>,
    /// The state file before the run, and its content.
    state_file: Option<(PathBuf, Vec<u8>)>,
}

impl Site {
    pub fn new(scenario: &'static Scenario) -> Site {
        let mut site = Site { scenario, place: Place::new(), payload: Vec::new(), state_file: None };
        let place = &site.place;
        symlink("out/hosts", place.path().join("link")).unwrap();
        if let Some(old) = scenario.old {
            put(place, &lines(old.lines));
            let pending = old.lines == scenario.new.lines;
            if pending { site.bare() } else { site.kvx_out() }.run().expect(0);
            assert_eq!(site.reloads().is_empty(), pending);
            let state_file = std::fs::read_dir(place.path().join("state")).unwrap().next().unwrap().unwrap().path();
            site.state_file = Some((state_file.clone(), std::fs::read(state_file).unwrap()));
        }
        put(place, &lines(scenario.new.lines));
        site.payload = match scenario.watch {
            None => Vec::new(),
            Some("") => place.folder(),
            Some(part) => place.consul.entry(&place.kv(part)).unwrap().to_string().into_bytes(),
        };
        site
    }

    /// Restores everything as it was before the run.
    pub fn reset(&self) {
        for name in ["out", "state", "reloads"].map(|name| self.place.path().join(name)) {
            let _ = if name.is_dir() { std::fs::remove_dir_all(name) } else { std::fs::remove_file(name) };
        }
        if !self.scenario.options.contains(&"--mkdir") {
            std::fs::create_dir(self.place.path().join("out")).unwrap();
        }
        if let Some(Seen(content, mode, user, group)) = self.old() {
            std::fs::write(self.place.file(), content).unwrap();
            chown(self.place.file(), Some(user), Some(group)).unwrap();
            std::fs::set_permissions(self.place.file(), PermissionsExt::from_mode(mode)).unwrap();
        }
        if let Some((path, content)) = &self.state_file {
            std::fs::create_dir(self.place.path().join("state")).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }

    fn old(&self) -> Option<Seen> {
        self.scenario.old.map(Look::seen)
    }

    fn new_one(&self) -> Option<Seen> {
        Some(self.scenario.new.seen())
    }

    fn is(&self) -> Option<Seen> {
        let content = String::from_utf8_lossy(&std::fs::read(self.place.file()).ok()?).into_owned();
        let is = std::fs::metadata(self.place.file()).unwrap();
        Some(Seen(content, is.mode() & 0o7777, is.uid(), is.gid()))
    }

    /// A run without a handler, which installs the old file.
    fn bare(&self) -> Run {
        Run::new("kvx-out", &self.place.consul.address)
            .args(["-k", &self.place.key, "--timeout", "6s", "--handler-timeout", "6s", "--state-dir"])
            .arg(self.place.path().join("state"))
            .arg("-f")
            .arg(self.place.path().join(self.scenario.file))
    }

    /// A run as a timer starts it: without a payload.
    fn kvx_out(&self) -> Run {
        let reloads = self.place.path().join("reloads");
        // If a fault happens while the handler runs, it must run long enough for the test to see it.
        let handler = format!("[ -z \"$SLOW\" ] || sleep 0.2; sha256sum < \"$KVX_FILE\" >> {}", reloads.display());
        let run = self.bare().args(["-e", &format!("sh -c '{handler}'")]).args(self.scenario.options);
        let owner = self.scenario.old.map_or(Owner::Ours, |old| old.owner);
        if owner != self.scenario.new.owner && getuid().is_root() { run.args(["-o", "daemon:daemon"]) } else { run }
    }

    pub fn traced(&self, options: &[&str], fault: Option<&Fault>) -> Trace {
        let run = if self.payload.is_empty() { self.kvx_out() } else { self.kvx_out().env("CONSUL_INDEX", "1") };
        let run = if fault.is_some_and(|fault| fault.late) { run.env("SLOW", "yes") } else { run };
        Trace::of(run, &self.payload, options, fault, &self.place.path().join("strace"))
    }

    pub fn baseline(&self) -> Trace {
        self.reset();
        let trace = self.traced(&[], None);
        assert_eq!((&trace.end, self.is()), (&End::Exited(0), self.new_one()), "{trace:?}");
        trace
    }

    /// The checksum of the file at each run of the handler.
    fn reloads(&self) -> Vec<String> {
        let reloads = super::whole_lines(&self.place.path().join("reloads"));
        reloads.iter().map(|line| line.trim_end_matches('-').trim_end().to_owned()).collect()
    }

    pub fn survives(&self, fault: &Fault, met: &Met) {
        self.reset();
        let trace = self.traced(&[], Some(fault));
        met.count(fault, &trace);
        if trace.at.is_none() {
            return assert_eq!(trace.end, End::Exited(0), "without a fault: {}", trace.stderr);
        }
        let case = format!("{fault}, {}\n{:?}, {:?}", trace.met().line, trace.end, trace.stderr);
        if fault.kills() {
            // The handler keeps running, as documented.
            wait_for("the handler's end", 10, || trace.left_running().is_empty().then_some(()));
        } else {
            assert_eq!(trace.left_running(), [""; 0], "{case}");
            trace.assert_end_is_published(fault, &case);
            // A run cannot clean up if these calls fail from then on: it cannot recognise its own files, or cannot
            // remove any file.
            let blind = fault.lasts && ["statx", "newfstatat", "unlinkat"].contains(&fault.call.as_str());
            let beside = if self.place.path().join("out").exists() { self.place.names() } else { Vec::new() };
            assert!(blind || beside.iter().all(|name| name == "hosts"), "a leftover: {case}");
        }
        let (is, new, reloads) = (self.is(), self.new_one(), self.reloads());
        assert!(!self.scenario.whole || is == self.old() || is == new, "{case}\n{is:?}");
        let checksum = sha256(lines(self.scenario.new.lines));
        assert!(reloads.iter().all(|reload| *reload == checksum), "{case}\n{reloads:?}");
        // An unreadable marker of kvexpress counts as a lock.
        if trace.end == End::Exited(0) && !trace.stderr.contains("locked on this node") {
            assert_eq!((is, reloads), (new, vec![checksum]), "it said that it is done: {case}");
        }
        self.converges(&case);
    }

    /// Asserts that the next run completes the work, and that the run after it has nothing to do, even with the same
    /// payload.
    fn converges(&self, case: &str) {
        let next = self.kvx_out().run();
        assert_eq!(next.status.code(), Some(0), "the run after {case}\n{}", next.stderr);
        let (place, after) = (&self.place, format!("after {case}"));
        assert_eq!(self.is(), self.new_one(), "{after}");
        assert_eq!(place.names(), ["hosts"], "{after}");
        assert!(place.path().join("link").is_symlink(), "{after}");
        assert_eq!(std::fs::read_dir(place.path().join("state")).unwrap().count(), 1, "one state file {after}");
        let reloads = self.reloads();
        let checksum = sha256(lines(self.scenario.new.lines));
        assert!(!reloads.is_empty() && reloads.iter().all(|reload| *reload == checksum), "{after}\n{reloads:?}");
        let metadata = |path: PathBuf| std::fs::metadata(path).unwrap();
        let (file, reload) = (metadata(place.file()), metadata(place.path().join("reloads")));
        let (changed, reloaded) = ((file.ctime(), file.ctime_nsec()), (reload.mtime(), reload.mtime_nsec()));
        assert!(changed <= reloaded, "reloaded once all was in place, {after}");

        let again = if self.payload.is_empty() { self.kvx_out() } else { self.kvx_out().payload(&self.payload) }.run();
        assert_eq!((again.status.code(), again.stderr.as_str()), (Some(0), ""), "the second run {after}");
        assert_eq!((self.is(), self.reloads()), (self.new_one(), reloads), "the second run {after}");
        let now = metadata(place.file());
        assert_eq!((now.ctime(), now.ctime_nsec()), changed, "the second run {after}");
    }
}

pub fn put(place: &Place, document: &str) {
    place.consul.put_pair(place.kv("").trim_end_matches('/'), document);
}
