//! HTTP to one Consul agent: one deadline, retries, bounded answers. What is retried is stated here and nowhere else.

use std::io::Read;
use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use ureq::http::{Method, Request, Response};
use ureq::{Agent, AsSendBody};

use super::endpoint::Endpoint;
use super::failure::{AttemptError, Errors, LONGEST_MESSAGE, Result};
use crate::context::Context;
use crate::net::{self, Explained};
use crate::util::time::{Backoff, Deadline};

/// A single try may take longer than the 7 to 12 s that an agent needs to say "No cluster leader", but not all of a
/// longer patience: a connection that went dead is better made anew.
const ONE_TRY: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(5);

const X_CONSUL_KNOWNLEADER: HeaderName = HeaderName::from_static("x-consul-knownleader");
const X_CONSUL_LASTCONTACT: HeaderName = HeaderName::from_static("x-consul-lastcontact");
const X_CONSUL_INDEX: HeaderName = HeaderName::from_static("x-consul-index");
const X_CONSUL_TOKEN: HeaderName = HeaderName::from_static("x-consul-token");

/// Room for most answers, so that they need not be moved to where there is more.
const USUAL: usize = 64 * 1024;

/// A connection to Consul, made at the first request.
#[derive(Debug)]
pub struct Client<'w> {
    server: Endpoint,
    agent: Agent,
    deadline: Deadline,
    /// The largest answer that is read.
    limit: u64,
    context: &'w Context,
}

/// What to ask.
pub(super) struct Call<'a> {
    /// After `/v1/`, percent-encoded.
    pub path: &'a str,
    /// `name=value`, or empty.
    pub parameter: &'a str,
    pub body: Body<'a>,
}

/// What to send, and so the method and the Content-Type: those of Consul's own client.
pub(super) enum Body<'a> {
    /// GET.
    None,
    /// PUT, of JSON.
    Json(&'a [u8]),
    /// PUT, of a value as it is.
    Bytes(&'a [u8]),
}

/// What Consul said: 200, 404 or 409, the answers that mean something to the caller.
pub(super) struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    /// X-Consul-Index; 0 where there is none.
    pub index: u64,
    /// How long ago the server that answered had heard of the leader; none where it knows no leader.
    pub behind: Option<Duration>,
    /// Whether it was asked more than once: an earlier try may have had its effect and lost its answer.
    pub repeated: bool,
}

impl<'w> Client<'w> {
    /// Talks until `deadline`, and reads values of up to `largest` bytes (Consul's JSON takes a third more).
    pub fn new(server: Endpoint, deadline: Deadline, largest: usize, context: &'w Context) -> Client<'w> {
        let agent = net::agent(&server.way, net::config().timeout_connect(Some(CONNECT)).build(), None);
        let limit = (largest / 3).saturating_mul(4).saturating_add(64 * 1024);
        Client { server, agent, deadline, limit: u64::try_from(limit).unwrap_or(u64::MAX), context }
    }

    /// Until when it talks.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// The context, for what is told.
    pub(super) fn context(&self) -> &Context {
        self.context
    }

    /// What went wrong, in words.
    pub(super) fn errors(&self) -> Errors<'_> {
        Errors { server: &self.server, context: self.context }
    }

    /// The server, for messages.
    pub fn server(&self) -> &Endpoint {
        &self.server
    }

    /// Asks until there is an answer that means something, or the deadline is over.
    ///
    /// Retried, since it passes: connections that cannot be made or that break, 429 (the agent's or a rate limit), 500
    /// (no leader), 502, 503 (rate limit) and 504. Everything else is Consul's word and final, and so is what TLS refuses
    /// (what of that, `tls` tells). So a write must be safe to repeat: `cas`.
    pub(super) fn call(&self, call: &Call) -> Result<Reply> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut tries: u32 = 1;
        let mut remedy = None;
        let mut cause = String::new();
        loop {
            match self.attempt(call) {
                Ok(answer) => return Ok(Reply { repeated: tries > 1, ..answer }),
                Err(AttemptError::Final(error)) => return Err(error),
                // The last try is cut short by the deadline: what the others met is the cause.
                Err(AttemptError::TooSlow) if !cause.is_empty() && self.deadline.left().is_zero() => {}
                Err(AttemptError::TooSlow) => (cause, remedy) = ("no answer in time".into(), None),
                Err(AttemptError::Transient(now)) => (cause, remedy) = (now, None),
                Err(AttemptError::Local(Explained { why, remedy: ours })) => (cause, remedy) = (why, Some(ours)),
            }
            self.context.progress(|| format!("Consul at {}: {cause}; trying again", self.server));
            if !backoff.sleep(self.deadline, &self.context.random) {
                let remedy = remedy.unwrap_or_else(|| {
                    format!("is the agent up? {} names another", self.context.either(&["-s", "CONSUL_HTTP_ADDR"]))
                });
                let often = if tries == 1 { "once".into() } else { format!("{tries} times") };
                return Err(self
                    .errors()
                    .unavailable(&format!("{cause} (tried {often} in {}); {remedy}", self.deadline.spent())));
            }
            tries = tries.saturating_add(1);
            self.context.count_retry();
        }
    }

    fn attempt(&self, call: &Call) -> std::result::Result<Reply, AttemptError> {
        let mut response = self.send(call).map_err(|cause| self.errors().fault(cause))?;
        let status = response.status().as_u16();
        let header = |name: &HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        let number = |name: &HeaderName| header(name).and_then(|value| value.parse::<u64>().ok());
        let index = number(&X_CONSUL_INDEX).unwrap_or(0);
        let behind = (header(&X_CONSUL_KNOWNLEADER) == Some("true"))
            .then(|| number(&X_CONSUL_LASTCONTACT).map(Duration::from_millis))
            .flatten();
        let meant = matches!(status, 200 | 404 | 409);
        let limit = if meant { self.limit } else { LONGEST_MESSAGE as u64 };
        let mut body = Vec::with_capacity(USUAL);
        let read = response.body_mut().with_config().limit(limit).reader().read_to_end(&mut body);
        match read.map(|_| body).map_err(ureq::Error::from) {
            Ok(body) if meant => Ok(Reply { status, body, index, behind, repeated: false }),
            Ok(body) => Err(self.errors().refusal(status, &String::from_utf8_lossy(&body), call.path)),
            Err(ureq::Error::BodyExceedsLimit(_)) if meant => Err(AttemptError::Final(Errors::too_large(self.limit))),
            Err(_) if !meant => Err(self.errors().refusal(status, "", call.path)),
            Err(broken) => Err(self.errors().fault(broken)),
        }
    }

    fn send(&self, call: &Call) -> std::result::Result<Response<ureq::Body>, ureq::Error> {
        let (method, kind, body) = match call.body {
            Body::None => (Method::GET, None, None),
            Body::Json(body) => (Method::PUT, Some("application/json"), Some(body)),
            Body::Bytes(body) => (Method::PUT, Some("application/octet-stream"), Some(body)),
        };
        let mut request = Request::builder().method(method).uri(self.server.url(call.path, call.parameter));
        if let Some(headers) = request.headers_mut() {
            headers.extend(kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))));
            headers.extend(self.server.credentials.token.as_ref().map(|token| (X_CONSUL_TOKEN, token.header())));
            headers.extend(self.server.credentials.authorization.as_ref().map(|login| (AUTHORIZATION, login.header())));
        }
        match body {
            None => self.run(request.body(())?),
            // A slice goes with its Content-Length; chunked, it would get past Consul's check of the size.
            Some(body) => self.run(request.body(body)?),
        }
    }

    fn run(&self, request: Request<impl AsSendBody>) -> std::result::Result<Response<ureq::Body>, ureq::Error> {
        let limit = self.deadline.left().min(ONE_TRY).max(Duration::from_millis(1));
        self.agent.run(self.agent.configure_request(request).timeout_global(Some(limit)).build())
    }
}
