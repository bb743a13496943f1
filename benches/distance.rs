//! A proxy that delays all bytes, to simulate a distant server. `tc netem` does the same, but needs root and a kernel
//! module.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

/// The address of a proxy to `target`: each byte takes half of `round_trip`. Connecting takes no time, because agents
/// keep their connections to the servers open.
pub fn to(target: &str, round_trip: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let target = target.to_owned();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let far = TcpStream::connect(&target).expect("the server");
            for (from, to) in [(&near, &far), (&far, &near)] {
                to.set_nodelay(true).expect("a socket");
                carry(from.try_clone().expect("a socket"), to.try_clone().expect("a socket"), round_trip / 2);
            }
        }
    });
    address
}

fn carry(mut from: TcpStream, mut to: TcpStream, takes: Duration) {
    let (departures, arrivals) = channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = [0; 64 * 1024];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if departures.send((Instant::now() + takes, buffer[..n].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in arrivals {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Write));
    });
}
