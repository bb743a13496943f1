//! A dogstatsd that accepts only its protocol.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub type Tags = BTreeMap<String, String>;

/// A listening dogstatsd. Datagrams are read only when a test asks for them.
pub struct Daemon {
    socket: Socket,
    /// The address for `--dogstatsd=`.
    pub address: String,
}

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram, PathBuf),
}

/// The received metrics and events, in order.
#[derive(Debug, Default, PartialEq)]
pub struct Received {
    pub metrics: Vec<Metric>,
    pub events: Vec<Event>,
    pub datagrams: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    pub name: String,
    pub value: u64,
    /// `c` (counter) or `g` (gauge).
    pub kind: char,
    pub tags: Tags,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub title: String,
    /// The text, unescaped.
    pub text: String,
    pub alert: String,
    pub group: String,
    pub tags: Tags,
}

/// A datagram that the test sends to itself: when it arrives, all earlier ones have arrived.
const END: &[u8] = b"the end";

impl Daemon {
    pub fn udp() -> Daemon {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Daemon { address: socket.local_addr().unwrap().to_string(), socket: Socket::Udp(socket) }
    }

    pub fn unix(path: &Path) -> Daemon {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Daemon { address: format!("unix://{}", path.display()), socket: Socket::Unix(socket, path.to_owned()) }
    }

    /// The option for this dogstatsd.
    pub fn option(&self) -> String {
        format!("--dogstatsd={}", self.address)
    }

    /// What runs that have ended sent since the last call.
    pub fn received(&self) -> Received {
        match &self.socket {
            Socket::Udp(socket) => {
                UdpSocket::bind("127.0.0.1:0").unwrap().send_to(END, socket.local_addr().unwrap()).unwrap();
            }
            Socket::Unix(_, path) => {
                UnixDatagram::unbound().unwrap().send_to(END, path).unwrap();
            }
        }
        let mut received = Received::default();
        let mut buffer = vec![0; 65536];
        loop {
            let length = match &self.socket {
                Socket::Udp(socket) => socket.recv(&mut buffer),
                Socket::Unix(socket, _) => socket.recv(&mut buffer),
            };
            let datagram = &buffer[..length.expect("a datagram")];
            if datagram == END {
                return received;
            }
            received.take(std::str::from_utf8(datagram).expect("a datagram is UTF-8"));
        }
    }
}

impl Received {
    /// Names, values, kinds and locations: `in:1|c complete`. A time varies, so it is `?`.
    pub fn short(&self) -> Vec<String> {
        let location = |metric: &Metric| metric.tags.get("location").cloned().unwrap_or_default();
        let short = |metric: &Metric| {
            let name = metric.name.strip_prefix("kvexpress.").expect("kvexpress's name");
            let value = if name == "time" { "?".into() } else { metric.value.to_string() };
            format!("{name}:{value}|{} {}", metric.kind, location(metric))
        };
        self.metrics.iter().map(short).collect()
    }

    fn take(&mut self, datagram: &str) {
        self.datagrams += 1;
        if datagram.starts_with("_e{") {
            assert!(datagram.len() <= 8192 && !datagram.contains('\n'), "an event is one line: {datagram}");
            self.events.push(event(datagram));
            return;
        }
        assert!(datagram.len() <= 1432, "{} bytes in a datagram", datagram.len());
        self.metrics.extend(datagram.split('\n').map(metric));
    }
}

fn metric(line: &str) -> Metric {
    let [value, kind, tags] = line.split('|').collect::<Vec<_>>()[..] else { panic!("no metric: {line}") };
    let (name, value) = value.split_once(':').expect("name:value");
    assert!(name.starts_with(|c: char| c.is_ascii_alphabetic()), "{line}");
    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_'), "{line}");
    assert!(["c", "g"].contains(&kind), "{line}");
    Metric {
        name: name.to_owned(),
        value: value.parse().expect(line),
        kind: kind.chars().next().unwrap(),
        tags: self::tags(tags),
    }
}

fn event(datagram: &str) -> Event {
    let (lengths, rest) = datagram.strip_prefix("_e{").and_then(|rest| rest.split_once("}:")).expect(datagram);
    let (title_length, text_length) = lengths.split_once(',').expect(datagram);
    let (title_length, text_length): (usize, usize) = (title_length.parse().unwrap(), text_length.parse().unwrap());
    let (title, rest) = rest.split_at(title_length);
    let (text, rest) = rest.strip_prefix('|').expect(datagram).split_at(text_length);
    let mut event = Event {
        title: title.to_owned(),
        text: text.replace("\\n", "\n"),
        alert: String::new(),
        group: String::new(),
        tags: Tags::new(),
    };
    for field in rest.strip_prefix('|').expect(datagram).split('|') {
        match field.split_at(2) {
            ("k:", group) => event.group = group.to_owned(),
            ("t:", alert) => event.alert = alert.to_owned(),
            _ => event.tags = tags(field),
        }
    }
    event
}

fn tags(field: &str) -> Tags {
    let field = field.strip_prefix('#').expect("tags begin with #");
    let mut tags = Tags::new();
    for tag in field.split(',') {
        let (name, value) = tag.split_once(':').unwrap_or_else(|| panic!("no name:value: {tag:?} in {field}"));
        assert!(!name.is_empty() && tag.chars().count() <= 200 && !tag.contains(char::is_control), "{tag:?}");
        assert!(tags.insert(name.to_owned(), value.to_owned()).is_none(), "twice: {name}");
    }
    tags
}
