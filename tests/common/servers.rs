//! Servers of a test, up for as long as the thread that has started them. All tests are one process: without an end, their
//! servers would be more than it may have descriptors.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;

use nix::sys::socket::{Shutdown, shutdown};

thread_local! {
    static STARTED: RefCell<Started> = RefCell::default();
}

/// Servers that end when this is dropped.
#[derive(Default)]
pub struct Started(Vec<Arc<TcpListener>>);

impl Drop for Started {
    fn drop(&mut self) {
        for listener in &self.0 {
            let _ = shutdown(listener.as_raw_fd(), Shutdown::Both); // Its thread stops waiting for clients.
        }
    }
}

/// Those that this thread has started, to be kept for longer.
pub fn started_here() -> Started {
    STARTED.take()
}

/// Starts a server at this address, which serves each client in a thread of its own; returns the address, with the port.
/// `connected` is called before a client is served.
pub fn start(
    address: &str,
    connected: impl Fn() + Send + 'static,
    serve: impl Fn(TcpStream) + Send + Sync + 'static,
) -> String {
    let listener = Arc::new(TcpListener::bind(address).unwrap());
    STARTED.with_borrow_mut(|started| started.0.push(listener.clone()));
    let address = listener.local_addr().unwrap().to_string();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        loop {
            match listener.accept() {
                Ok((client, _)) => {
                    connected();
                    let serve = serve.clone();
                    thread::spawn(move || serve(client));
                }
                Err(error) if error.kind() == ErrorKind::InvalidInput => break, // It was shut down.
                Err(_) => (),                                                   // The client has gone already.
            }
        }
    });
    address
}
