//! The times at which files are renamed into a directory.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

pub struct Arrivals {
    inotify: Inotify,
}

impl Arrivals {
    pub fn at(directory: &Path) -> Arrivals {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).expect("inotify");
        inotify.add_watch(directory, AddWatchFlags::IN_MOVED_TO).expect("a watch");
        Arrivals { inotify }
    }

    /// The number of seconds from `started` until each file arrived for the first time, in order. Ends after `n` files,
    /// after five seconds without a new file if nothing is `busy` (an agent of a thousand `keyprefix` watches may need more than
    /// one before it starts the first handler), or at the time limit.
    pub fn since(&self, started: Instant, n: usize, busy: impl Fn() -> bool, limit: Duration) -> Vec<f64> {
        let mut seen: HashMap<OsString, f64> = HashMap::new();
        while seen.len() < n && started.elapsed() < limit {
            let mut ready = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
            if poll(&mut ready, PollTimeout::from(5000u16)).expect("poll") == 0 && !busy() {
                break;
            }
            let now = started.elapsed().as_secs_f64();
            let events = self.inotify.read_events().unwrap_or_default();
            for name in events.into_iter().filter_map(|event| event.name) {
                seen.entry(name).or_insert(now);
            }
        }
        let mut seconds: Vec<f64> = seen.into_values().collect();
        seconds.sort_by(f64::total_cmp);
        seconds
    }

    /// Discards the files that have arrived until now.
    pub fn forget(&self) {
        while self.inotify.read_events().is_ok() {}
    }
}
