//! A gate between a program under test and a real Consul: it records every request, and can lose, cut, delay or replace
//! requests and answers.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::servers;

/// The purpose of a request to the KV store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Read,
    Write,
}

/// A request, as the program sent it.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub step: Step,
    /// The number of the request among those of its step at this gate, from 1.
    pub nth: usize,
}

/// What the gate does with a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Passes the request to Consul, and the answer back.
    Pass,
    /// Passes the request on with another path and query.
    PassAs(String),
    /// Passes the request on, and closes the connection after this number of bytes of the answer.
    CutAnswer(usize),
    /// Passes the request on, and closes the connection before this number of last bytes of the answer.
    CutAnswerBeforeItsLast(usize),
    /// Passes only this number of bytes of the request on, and closes both connections.
    CutRequest(usize),
    /// Answers with these bytes without asking Consul, and closes the connection.
    Say(Vec<u8>),
    /// Answers with these bytes without asking Consul, and leaves the connection open.
    SayAndHang(Vec<u8>),
    /// Sends the first bytes, then the others repeatedly, until the client closes the connection.
    Drip(Vec<u8>, Vec<u8>, Duration),
}

pub struct Gate {
    pub address: String,
    shared: Arc<Shared>,
}

type Rule = dyn Fn(&Request) -> Act + Send + Sync;

struct Shared {
    target: String,
    rule: Box<Rule>,
    connections: AtomicUsize,
    seen: Mutex<Vec<Request>>,
}

impl Gate {
    /// A gate in front of `target`; `rule` decides what to do with each request.
    pub fn to(target: &str, rule: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Gate {
        Gate::at("127.0.0.1:0", target, rule)
    }

    /// A gate that listens on this address.
    pub fn at(address: &str, target: &str, rule: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Gate {
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            rule: Box::new(rule),
            connections: AtomicUsize::new(0),
            seen: Mutex::default(),
        });
        let (counted, served) = (shared.clone(), shared.clone());
        let count = move || {
            counted.connections.fetch_add(1, Ordering::SeqCst);
        };
        // An error means that the client or Consul closed its connection.
        let address = servers::start(address, count, move |client| drop(served.serve(client)));
        Gate { address, shared }
    }

    /// A gate that passes everything.
    pub fn open(target: &str) -> Gate {
        Gate::to(target, |_| Act::Pass)
    }

    /// The number of connections, with or without a request.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }

    /// The requests since the last call, such as `PUT /v1/txn`.
    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(|request| format!("{} {}", request.method, request.target)).collect()
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut request = Request::read(&mut client)?;
        {
            let mut seen = self.seen.lock().unwrap();
            request.nth = 1 + seen.iter().filter(|earlier| earlier.step == request.step).count();
            seen.push(request.clone());
        }
        match (self.rule)(&request) {
            Act::Pass => client.write_all(&self.ask(&request.bytes(&request.target))?),
            Act::PassAs(target) => client.write_all(&self.ask(&request.bytes(&target))?),
            Act::CutAnswer(at) => {
                let answer = self.ask(&request.bytes(&request.target))?;
                client.write_all(&answer[..at.min(answer.len())])
            }
            Act::CutAnswerBeforeItsLast(n) => {
                let answer = self.ask(&request.bytes(&request.target))?;
                client.write_all(&answer[..answer.len().saturating_sub(n)])
            }
            Act::CutRequest(at) => {
                let bytes = request.bytes(&request.target);
                TcpStream::connect(&self.target)?.write_all(&bytes[..at.min(bytes.len())])
            }
            Act::Say(answer) => client.write_all(&answer),
            Act::SayAndHang(answer) => {
                client.write_all(&answer)?;
                io::copy(&mut client, &mut io::sink()).map(drop)
            }
            Act::Drip(first, again, every) => {
                client.write_all(&first)?;
                loop {
                    client.write_all(&again)?;
                    thread::sleep(every);
                }
            }
        }
    }

    /// Sends a request on a connection of its own. The answer is everything until Consul closes the connection.
    fn ask(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut consul = TcpStream::connect(&self.target)?;
        consul.write_all(request)?;
        let mut answer = Vec::new();
        consul.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn read(client: &mut TcpStream) -> io::Result<Request> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = find(&bytes, b"\r\n\r\n") {
                break at;
            }
            more(client, &mut bytes)?;
        };
        let head = String::from_utf8(bytes[..end].to_vec()).expect("a head of text");
        let mut lines = head.lines();
        let mut words = lines.next().expect("a request line").split(' ');
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').expect("a header"))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut request = Request {
            method: words.next().unwrap().to_owned(),
            target: words.next().expect("a target").to_owned(),
            headers,
            body: bytes[end + 4..].to_vec(),
            step: Step::Read,
            nth: 0,
        };
        let chunked = request.header("Transfer-Encoding").is_some();
        let length = request.header("Content-Length").map_or(0, |length| length.parse().expect("a length"));
        while if chunked { !request.body.ends_with(b"0\r\n\r\n") } else { request.body.len() < length } {
            more(client, &mut request.body)?;
        }
        // An upload also has operations that only read, in the transaction that writes.
        let verbs = [br#""Verb":"set""#.as_slice(), br#""Verb":"cas""#, br#""Verb":"delete"#];
        let writes =
            request.target.starts_with("/v1/kv/") || verbs.iter().any(|verb| find(&request.body, verb).is_some());
        request.step = if request.method != "GET" && writes { Step::Write } else { Step::Read };
        Ok(request)
    }

    /// The request for Consul, with `Connection: close`.
    fn bytes(&self, target: &str) -> Vec<u8> {
        let mut head = format!("{} {target} HTTP/1.1\r\nConnection: close\r\n", self.method);
        for (name, value) in self.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("Connection")) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

/// A complete HTTP answer, after which the connection is closed.
pub fn http(status: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn more(client: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    match client.read(&mut buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        n => {
            bytes.extend_from_slice(&buffer[..n]);
            Ok(())
        }
    }
}
