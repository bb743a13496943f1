//! A proxy between a program under test and a real Consul, which counts requests and bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::servers;

/// A proxy that passes everything on, and counts the requests and the bytes in both directions.
pub struct Counter {
    pub address: String,
    requests: Arc<Mutex<Vec<String>>>,
    bytes: Arc<AtomicUsize>,
}

impl Counter {
    pub fn to(target: &str) -> Counter {
        let (requests, bytes) = (Arc::<Mutex<_>>::default(), Arc::<AtomicUsize>::default());
        let (target, lines, passed_on) = (target.to_owned(), requests.clone(), bytes.clone());
        let pass_all = move |client: TcpStream| {
            let server = TcpStream::connect(&target).unwrap();
            let (from_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let bytes = passed_on.clone();
            let count = move |passed: &[u8]| {
                bytes.fetch_add(passed.len(), Ordering::Relaxed);
            };
            let count_too = count.clone();
            thread::spawn(move || pass(from_server, to_client, count_too));
            let mut seen = Vec::new();
            pass(client, server, |passed| {
                count(passed);
                seen.extend_from_slice(passed);
                take_request_lines(&mut seen, &lines);
            });
        };
        Counter { address: servers::start("127.0.0.1:0", || (), pass_all), requests, bytes }
    }

    /// The request lines since the last call, such as `PUT /v1/txn HTTP/1.1`.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    /// The number of bytes since the last call.
    pub fn bytes(&self) -> usize {
        self.bytes.swap(0, Ordering::Relaxed)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n) = from.read(&mut buffer) {
        look(&buffer[..n]);
        if n == 0 || to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Finds the requests in a stream by their first lines. Bodies are JSON or text and contain no such line.
fn take_request_lines(seen: &mut Vec<u8>, requests: &Mutex<Vec<String>>) {
    const END: &[u8] = b" HTTP/1.1\r\n";
    while let Some(at) = seen.windows(END.len()).position(|window| window == END) {
        let head = String::from_utf8_lossy(&seen[..at]).into_owned();
        let start = ["GET /", "PUT /", "DELETE /"].iter().filter_map(|method| head.rfind(method)).max().unwrap();
        requests.lock().unwrap().push(format!("{} HTTP/1.1", &head[start..]));
        seen.drain(..at + END.len());
    }
}
