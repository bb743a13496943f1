//! dogstatsd: metrics and events in datagrams, under the names and tags that kvexpress gave them.

mod address;
mod counts;
mod events;
mod wire;

pub use self::address::StatsdAddress;
use self::wire::Tags;
use crate::env::Env;
use crate::telemetry::outcome::Outcome;

/// The most that goes into one datagram of metrics: what a network carries in one piece.
const DATAGRAM: usize = 1432;

/// What is told, and whom.
#[derive(Clone, Debug)]
pub struct Dogstatsd {
    /// `--dogstatsd=ADDR`; none for the environment's.
    pub address: Option<StatsdAddress>,
    /// `--metrics-prefix`.
    pub prefix: String,
    /// Metrics (kvexpress may send events alone).
    pub metrics: bool,
    /// `--events`.
    pub events: bool,
}

impl Dogstatsd {
    /// Tells of a run. Never waits, but for the name of a host, and not long.
    pub(super) fn send(&self, run: &Outcome, difference: Option<&str>, env: &Env) -> Result<(), String> {
        let host = env.hostname();
        let metrics = if self.metrics { counts::of(run, &self.prefix, &host) } else { Vec::new() };
        let mut datagrams = wire::packed(&metrics, DATAGRAM);
        if self.events {
            datagrams.extend(events::of(run, difference, &self.prefix, &host));
        }
        if datagrams.is_empty() {
            return Ok(());
        }
        let socket = match &self.address {
            Some(address) => address.open()?,
            None => StatsdAddress::of_environment(env)?.open()?,
        };
        datagrams.iter().try_for_each(|datagram| socket.send(datagram.as_bytes()).map_err(|why| why.to_string()))
    }
}

/// The prefix of names: as Datadog takes it.
///
/// # Errors
/// What is wrong with it.
pub fn prefix(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(fits) && text.len() <= 100 {
        Ok(text.to_owned())
    } else {
        Err("write a letter, then letters, digits, dots and underscores, such as kvexpress".into())
    }
}

/// The tags that kvexpress puts on everything that is of a key.
fn tags(key: Option<&str>, run: &Outcome, location: &str, host: &str) -> Tags {
    let tags = Tags::default();
    let tags = match key {
        Some(key) => tags.and("key", key),
        None => tags,
    };
    tags.and("host", host).and("direction", run.direction.word()).and("location", location)
}
