//! Signals to this process: which of them end it, which must not stop it, and which are passed on to a program that it runs.
//!
//! The last by handlers, not by a blocked mask: a mask would be inherited by the program, which then could not be ended.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use nix::sys::signal::{SigSet, Signal};
use signal_hook::{flag, low_level::pipe};

/// Those that ask a process to end.
const PASSED_ON: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// With these a terminal stops a process: on Ctrl-Z, or when a background process reads from it or writes to it.
const STOPS: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];

/// The init process of a PID namespace, such as the first process of a container. The kernel never ends it by a default action.
const INIT: u32 = 1;

/// Called once, at the start of the program, with its process id.
///
/// A write beyond the limit of file sizes (`ulimit -f`) fails from now on, instead of ending the process halfway. The init
/// process ends on TERM, INT and HUP as any other process does.
pub fn at_start(process: u32) {
    // If the system refuses, signals do what they do by default.
    let _ = SigSet::from(Signal::SIGXFSZ).thread_block();
    if process == INIT
        && let Ok(handlers) = Handlers::set(Ends::Exit)
    {
        HANDLERS.get_or_init(|| handlers);
    }
}

/// From now on, a terminal cannot stop this process: a stopped process would keep the file's lock.
///
/// They are blocked and not handled, because a write to the terminal that a handler interrupts is made again and again.
pub fn block_stops() {
    let _ = SigSet::from_iter(STOPS).thread_block();
}

/// Starts a program with an empty signal mask, which it inherits. Exec resets what is handled to the default.
///
/// # Errors
/// It cannot be started.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let mask = SigSet::thread_get_mask()?;
    if STOPS.iter().all(|&signal| mask.contains(signal)) {
        catch_stops()?; // What came while they were blocked arrives in a moment.
    }
    SigSet::empty().thread_set_mask()?;
    let child = command.spawn();
    let _ = mask.thread_set_mask(); // The program runs by now. Without the mask, the handlers still do nothing.
    child
}

/// Has them do nothing.
fn catch_stops() -> io::Result<()> {
    static ARE_CAUGHT: OnceLock<()> = OnceLock::new();
    if ARE_CAUGHT.get().is_none() {
        let ignored = ignored();
        for signal in STOPS.into_iter().filter(|&signal| !is_in(ignored, signal)) {
            flag::register(signal as i32, Arc::new(AtomicBool::new(false)))?;
        }
        ARE_CAUGHT.get_or_init(|| ());
    }
    Ok(())
}

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

/// How a signal ends the process while no program runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// As any other process, seen by its parent as ended by this signal.
    ByDefault,
    /// By exiting with the status that a shell shows for it: the init process has no defaults.
    Exit,
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
                let handlers = Handlers::set(Ends::ByDefault)?;
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
    fn set(ends: Ends) -> io::Result<Handlers> {
        let (wakes, waker) = UnixStream::pair()?;
        wakes.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let by_default = Arc::new(AtomicBool::new(true));
        let seen = std::array::from_fn(|_| Arc::new(AtomicBool::new(false)));
        let handlers = Handlers { wakes, seen, by_default };
        let ignored = ignored();
        for (signal, seen) in PASSED_ON.into_iter().zip(&handlers.seen) {
            // What nohup, or a shell in the background, has us ignore, we and the program go on to ignore.
            if is_in(ignored, signal) {
                continue;
            }
            let (number, by_default) = (signal as i32, handlers.by_default.clone());
            match ends {
                Ends::ByDefault => flag::register_conditional_default(number, by_default)?,
                Ends::Exit => flag::register_conditional_shutdown(number, number.saturating_add(128), by_default)?,
            };
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

/// Whether a mask, as the kernel writes it, has this signal.
fn is_in(mask: u64, signal: Signal) -> bool {
    mask & (1 << (signal as u32).saturating_sub(1)) != 0
}

/// The signals that this process ignores, as the kernel tells them; none where it does not.
fn ignored() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
