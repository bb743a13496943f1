//! Signals to this process: which of them end it, which must not stop it, and which are passed on to a child program.
//!
//! Signals are passed on by signal handlers, not by blocking them: the child would inherit the blocked mask, and
//! signals could not end it.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use nix::sys::signal::{SigSet, Signal};
use signal_hook::{flag, low_level::pipe};

/// Signals that ask a process to end. They are passed on to the child program.
const PASSED_ON: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// Signals by which a terminal stops a process: on Ctrl-Z, or when a background process reads from it or writes to it.
const JOB_CONTROL: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];

/// The init process of a PID namespace, such as the first process of a container. A signal's default action never ends
/// it.
const INIT_PID: u32 = 1;

/// Sets up the signals of this process. Called once, when the program starts.
///
/// Afterwards, a write beyond the file size limit (`ulimit -f`) fails instead of killing the process halfway, and TERM,
/// INT and HUP also end kvx when it is the init process.
pub fn set_up(process_id: u32) {
    // If this fails, the signals keep their default actions.
    let _ = SigSet::from(Signal::SIGXFSZ).thread_block();
    if process_id == INIT_PID
        && let Ok(handlers) = Handlers::install(Termination::Exit)
    {
        HANDLERS.get_or_init(|| handlers);
    }
}

/// Prevents a terminal from stopping this process: a stopped process would keep the lock of its state file.
///
/// The signals are blocked and not handled, because the system would restart a write to the terminal forever that a
/// handler interrupts.
pub fn block_job_control() {
    let _ = SigSet::from_iter(JOB_CONTROL).thread_block();
}

/// Starts a program with an empty signal mask. exec resets handled signals to their default actions.
///
/// # Errors
/// The program cannot be started.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let mask = SigSet::thread_get_mask()?;
    if JOB_CONTROL.iter().chain([&Signal::SIGXFSZ]).any(|&signal| mask.contains(signal)) {
        catch_job_control()?; // Signals that arrived while they were blocked are delivered when the mask is emptied.
    }
    SigSet::empty().thread_set_mask()?;
    let child = command.spawn();
    // The program runs already, so this error is ignored. Without the mask, the empty handlers still apply.
    let _ = mask.thread_set_mask();
    child
}

/// Installs empty handlers for the signals of job control.
fn catch_job_control() -> io::Result<()> {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    if INSTALLED.get().is_none() {
        let ignored = ignored();
        for signal in JOB_CONTROL.into_iter().chain([Signal::SIGXFSZ]).filter(|&signal| !is_in(ignored, signal)) {
            flag::register(signal as i32, Arc::new(AtomicBool::new(false)))?;
        }
        INSTALLED.get_or_init(|| ());
    }
    Ok(())
}

/// The signal handlers of this process. They are installed once; afterwards, `use_default` switches between holding a
/// signal and its default action.
static HANDLERS: OnceLock<Handlers> = OnceLock::new();

#[derive(Debug)]
struct Handlers {
    /// Readable once a signal has arrived, including SIGCHLD.
    wakeups: UnixStream,
    seen: [Arc<AtomicBool>; PASSED_ON.len()],
    use_default: Arc<AtomicBool>,
}

/// How a signal ends the process while no child program runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Termination {
    /// By the default action, so that the parent sees a process that was killed by this signal.
    ByDefault,
    /// By exiting with the status that a shell shows for the signal: default actions do not end the init process.
    Exit,
}

/// Holds TERM, INT and HUP as long as this value lives: they are recorded and do not end the process.
#[derive(Debug)]
pub struct Signals(&'static Handlers);

impl Signals {
    /// Begins to hold signals.
    ///
    /// # Errors
    /// The process has no file descriptors left.
    pub fn hold() -> io::Result<Signals> {
        let handlers = match HANDLERS.get() {
            Some(handlers) => handlers,
            None => {
                let handlers = Handlers::install(Termination::ByDefault)?;
                HANDLERS.get_or_init(|| handlers)
            }
        };
        handlers.use_default.store(false, Ordering::SeqCst);
        Ok(Signals(handlers))
    }

    /// The signals to pass on that arrived since the last call.
    pub fn take_arrived(&self) -> impl Iterator<Item = Signal> {
        // Emptied before `seen` is read: a signal that arrives in between makes it readable again.
        let mut buffer = [0; 64];
        while (&self.0.wakeups).read(&mut buffer).is_ok_and(|n| n > 0) {}
        let seen = PASSED_ON.into_iter().zip(&self.0.seen);
        seen.filter(|(_, seen)| seen.swap(false, Ordering::SeqCst)).map(|(signal, _)| signal)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.wakeups.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.0.use_default.store(true, Ordering::SeqCst);
    }
}

impl Handlers {
    fn install(termination: Termination) -> io::Result<Handlers> {
        let (wakeups, waker) = UnixStream::pair()?;
        wakeups.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let use_default = Arc::new(AtomicBool::new(true));
        let seen = std::array::from_fn(|_| Arc::new(AtomicBool::new(false)));
        let handlers = Handlers { wakeups, seen, use_default };
        let ignored = ignored();
        for (signal, seen) in PASSED_ON.into_iter().zip(&handlers.seen) {
            // A signal that this process inherited as ignored (nohup, a background job) stays ignored, here and in the
            // child.
            if is_in(ignored, signal) {
                continue;
            }
            let (number, use_default) = (signal as i32, handlers.use_default.clone());
            match termination {
                Termination::ByDefault => flag::register_conditional_default(number, use_default)?,
                Termination::Exit => {
                    flag::register_conditional_shutdown(number, number.saturating_add(128), use_default)?
                }
            };
            flag::register(signal as i32, seen.clone())?;
            pipe::register(signal as i32, waker.try_clone()?)?;
        }
        pipe::register(Signal::SIGCHLD as i32, waker)?;
        // The parent process may have blocked them; then the end of the child would not wake this process.
        let mut awaited = SigSet::from_iter(PASSED_ON);
        awaited.add(Signal::SIGCHLD);
        awaited.thread_unblock()?;
        Ok(handlers)
    }
}

/// Whether a mask, in the kernel's format, contains this signal.
fn is_in(mask: u64, signal: Signal) -> bool {
    mask & (1 << (signal as u32).saturating_sub(1)) != 0
}

/// The mask of the signals that this process ignores; 0 if /proc cannot be read.
fn ignored() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
