//! dogstatsd: metrics and events in datagrams, with kvexpress's names and tags.

mod address;
mod counts;
mod events;
mod wire;

pub use self::address::StatsdAddress;
use self::wire::Tags;
use crate::env::Env;
use crate::telemetry::outcome::Outcome;

/// The maximum size of a datagram of metrics, so that the network does not fragment it.
const MAX_DATAGRAM: usize = 1432;

/// What is sent to dogstatsd, and where dogstatsd listens.
#[derive(Clone, Debug)]
pub struct Dogstatsd {
    /// `--dogstatsd=ADDR`; if none, the address comes from the environment.
    pub address: Option<StatsdAddress>,
    /// `--metrics-prefix`.
    pub prefix: String,
    /// Whether to send metrics. kvexpress can send only events.
    pub metrics: bool,
    /// Whether to send events: `--events`.
    pub events: bool,
}

impl Dogstatsd {
    /// Sends the metrics and the event of a run. Never blocks, except for resolving a host name, for at most 100 ms.
    pub(super) fn send(&self, run: &Outcome, difference: Option<&str>, env: &Env) -> Result<(), String> {
        let host = env.hostname();
        let metrics = if self.metrics { counts::from_run(run, &self.prefix, &host) } else { Vec::new() };
        let mut datagrams = wire::pack(&metrics, MAX_DATAGRAM);
        if self.events {
            datagrams.extend(events::from_run(run, difference, &self.prefix, &host));
        }
        if datagrams.is_empty() {
            return Ok(());
        }
        let socket = match &self.address {
            Some(address) => address.open()?,
            None => StatsdAddress::from_env(env)?.open()?,
        };
        datagrams.iter().try_for_each(|datagram| socket.send(datagram.as_bytes()).map_err(|why| why.to_string()))
    }
}

/// Parses the prefix of metric names, as Datadog accepts it.
///
/// # Errors
/// What to write instead.
pub fn prefix(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(is_allowed) && text.len() <= 100 {
        Ok(text.to_owned())
    } else {
        Err("write a letter, then letters, digits, dots and underscores, such as kvexpress".into())
    }
}

/// The tags that kvexpress adds to metrics and events of a key.
fn tags(key: Option<&str>, run: &Outcome, location: &str, host: &str) -> Tags {
    let tags = Tags::default();
    let tags = match key {
        Some(key) => tags.and("key", key),
        None => tags,
    };
    tags.and("host", host).and("direction", run.direction.word()).and("location", location)
}
