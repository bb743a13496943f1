//! Signals to this process while somebody else's program runs: kept until they are looked at, and passed on.
//!
//! By handlers, not by a blocked mask: a mask would be inherited by the program, which then could not be ended.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use nix::sys::signal::{SigSet, Signal};
use signal_hook::{flag, low_level::pipe};

/// Those that ask a process to end.
const PASSED_ON: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// Handlers are the process's, and are set once; then this says whether they hold a signal or let it do what it does by
/// default.
static HANDLERS: OnceLock<Handlers> = OnceLock::new();

#[derive(Debug)]
struct Handlers {
    /// Readable once a signal has come; SIGCHLD too.
    wakes: UnixStream,
    seen: [Arc<AtomicBool>; PASSED_ON.len()],
    by_default: Arc<AtomicBool>,
}

/// While this lives, signals are held.
#[derive(Debug)]
pub struct Signals(&'static Handlers);

impl Signals {
    /// Holds signals from now on.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn held() -> io::Result<Signals> {
        let handlers = match HANDLERS.get() {
            Some(handlers) => handlers,
            None => {
                let handlers = Handlers::set()?;
                HANDLERS.get_or_init(|| handlers)
            }
        };
        handlers.by_default.store(false, Ordering::SeqCst);
        Ok(Signals(handlers))
    }

    /// The signals that have come since the last look and are to be passed on.
    pub fn arrived(&self) -> impl Iterator<Item = Signal> {
        // Emptied before the look: what comes between wakes once more.
        let mut wakes = [0; 64];
        while (&self.0.wakes).read(&mut wakes).is_ok_and(|n| n > 0) {}
        let seen = PASSED_ON.into_iter().zip(&self.0.seen);
        seen.filter(|(_, seen)| seen.swap(false, Ordering::SeqCst)).map(|(signal, _)| signal)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.wakes.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.0.by_default.store(true, Ordering::SeqCst);
    }
}

impl Handlers {
    fn set() -> io::Result<Handlers> {
        let (wakes, waker) = UnixStream::pair()?;
        wakes.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let by_default = Arc::new(AtomicBool::new(false));
        let seen = std::array::from_fn(|_| Arc::new(AtomicBool::new(false)));
        let handlers = Handlers { wakes, seen, by_default };
        let ignored = ignored();
        for (signal, seen) in PASSED_ON.into_iter().zip(&handlers.seen) {
            // What nohup, or a shell in the background, has us ignore, we and the program go on to ignore.
            if ignored & (1 << (signal as u32).saturating_sub(1)) != 0 {
                continue;
            }
            flag::register_conditional_default(signal as i32, handlers.by_default.clone())?;
            flag::register(signal as i32, seen.clone())?;
            pipe::register(signal as i32, waker.try_clone()?)?;
        }
        pipe::register(Signal::SIGCHLD as i32, waker)?;
        // Who started us may have blocked them; then the program's end would wake nobody.
        let mut awaited = SigSet::from_iter(PASSED_ON);
        awaited.add(Signal::SIGCHLD);
        awaited.thread_unblock()?;
        Ok(handlers)
    }
}

/// The signals that this process ignores, as the kernel tells them; none where it does not.
fn ignored() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
