//! HTTP to one Consul agent, with one deadline, retries, and answers of limited size. `failure` decides what is
//! retried.

use std::io::Read;
use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use ureq::http::{Method, Request, Response};
use ureq::{Agent, AsSendBody};

use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::failure::{AttemptError, Errors, LONGEST_MESSAGE, Result};
use crate::context::Context;
use crate::net::{self, Explained};
use crate::util::time::{Backoff, Deadline};

/// The timeout of a single attempt. It is longer than the 7 to 12 s that an agent takes to answer "No cluster leader",
/// and shorter than a long deadline, so that a dead connection is replaced in time.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const X_CONSUL_KNOWNLEADER: HeaderName = HeaderName::from_static("x-consul-knownleader");
const X_CONSUL_LASTCONTACT: HeaderName = HeaderName::from_static("x-consul-lastcontact");
const X_CONSUL_INDEX: HeaderName = HeaderName::from_static("x-consul-index");
const X_CONSUL_TOKEN: HeaderName = HeaderName::from_static("x-consul-token");

/// The initial capacity for an answer, in bytes. Most answers fit, so the buffer need not grow.
const INITIAL_CAPACITY: usize = 64 * 1024;

/// A client of one Consul agent. It connects at the first request.
#[derive(Debug)]
pub struct Client<'w> {
    endpoint: Endpoint,
    agent: Agent,
    deadline: Deadline,
    /// The largest answer that is read, in bytes.
    limit: u64,
    context: &'w Context,
}

/// A request to the API.
pub(super) struct Call<'a> {
    /// The path after `/v1/`, percent-encoded.
    pub path: &'a str,
    /// The query parameters, such as `name=value`, or empty.
    pub parameter: &'a str,
    pub body: Body<'a>,
}

/// The body of a request. It decides the method and the Content-Type, which are those that Consul's own client sends.
pub(super) enum Body<'a> {
    /// GET.
    None,
    /// PUT of a JSON document.
    Json(&'a [u8]),
    /// PUT of a raw value.
    Bytes(&'a [u8]),
}

/// An answer with status 200, 404 or 409: those that a caller distinguishes.
pub(super) struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    /// X-Consul-Index; 0 if the header is missing.
    pub index: u64,
    /// The time since the answering server last heard from the leader (X-Consul-LastContact); `None` if it knows no
    /// leader.
    pub last_contact: Option<Duration>,
    /// Whether the request was sent more than once. An earlier attempt may have succeeded although its answer was lost.
    pub repeated: bool,
}

impl<'w> Client<'w> {
    /// A client whose requests, retries included, end at `deadline`. It reads values of up to `max_value` bytes; in
    /// Consul's JSON a value takes a third more.
    pub fn new(endpoint: Endpoint, deadline: Deadline, max_value: usize, context: &'w Context) -> Client<'w> {
        let agent = net::agent(&endpoint.route, net::config().timeout_connect(Some(CONNECT_TIMEOUT)).build(), None);
        let limit = (max_value / 3).saturating_mul(4).saturating_add(64 * 1024);
        Client { endpoint, agent, deadline, limit: u64::try_from(limit).unwrap_or(u64::MAX), context }
    }

    /// The deadline of all requests.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    pub(super) fn context(&self) -> &Context {
        self.context
    }

    pub(super) fn errors(&self) -> Errors<'_> {
        Errors { endpoint: &self.endpoint, context: self.context }
    }

    /// The endpoint that the client talks to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a request, and retries transient errors until the deadline.
    ///
    /// Transient errors are: connections that fail or break, 429 (the agent's limit or a rate limit), 500 (no leader),
    /// 502, 503 (rate limit) and 504. All other answers are final, and so is a TLS refusal (see `net::refusal`). Since
    /// a request may arrive twice, a write must be safe to repeat (`cas`).
    pub(super) fn call(&self, call: &Call) -> Result<Reply> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut attempts: u32 = 1;
        let mut remedy = None;
        let mut cause = String::new();
        loop {
            match self.attempt(call) {
                Ok(reply) => return Ok(Reply { repeated: attempts > 1, ..reply }),
                Err(AttemptError::Final(error)) => return Err(error),
                // The deadline cut the last attempt short, so the error reports the cause of the earlier ones.
                Err(AttemptError::TooSlow) if !cause.is_empty() && self.deadline.left().is_zero() => {}
                Err(AttemptError::TooSlow) => (cause, remedy) = ("no answer in time".into(), None),
                Err(AttemptError::Transient(why)) => (cause, remedy) = (why, None),
                Err(AttemptError::Local(Explained { why, remedy: local })) => (cause, remedy) = (why, Some(local)),
            }
            self.context.progress(|| format!("Consul at {}: {cause}; trying again", self.endpoint));
            if !backoff.sleep(self.deadline, &self.context.random) {
                let remedy = remedy.unwrap_or_else(|| {
                    format!("is the agent up? choose another with {}", self.context.either(&["-s", "CONSUL_HTTP_ADDR"]))
                });
                let often = if attempts == 1 { "once".into() } else { format!("{attempts} times") };
                return Err(self
                    .errors()
                    .unavailable(&format!("{cause} (tried {often} in {}); {remedy}", self.deadline.spent())));
            }
            attempts = attempts.saturating_add(1);
            self.context.count_retry();
        }
    }

    fn attempt(&self, call: &Call) -> std::result::Result<Reply, AttemptError> {
        let mut response = self.send(call).map_err(|cause| self.errors().transport(cause))?;
        let status = response.status().as_u16();
        let header = |name: &HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        let number = |name: &HeaderName| header(name).and_then(|value| value.parse::<u64>().ok());
        let index = number(&X_CONSUL_INDEX).unwrap_or(0);
        let last_contact = (header(&X_CONSUL_KNOWNLEADER) == Some("true"))
            .then(|| number(&X_CONSUL_LASTCONTACT).map(Duration::from_millis))
            .flatten();
        let is_reply = matches!(status, 200 | 404 | 409);
        let limit = if is_reply { self.limit } else { LONGEST_MESSAGE as u64 };
        let mut body = Vec::with_capacity(INITIAL_CAPACITY);
        let read = response.body_mut().with_config().limit(limit).reader().read_to_end(&mut body);
        match read.map(|_| body).map_err(ureq::Error::from) {
            Ok(body) if is_reply => Ok(Reply { status, body, index, last_contact, repeated: false }),
            Ok(body) => Err(self.errors().error_status(status, &String::from_utf8_lossy(&body), call.path)),
            Err(ureq::Error::BodyExceedsLimit(_)) if is_reply => {
                Err(AttemptError::Final(Errors::too_large(self.limit)))
            }
            Err(_) if !is_reply => Err(self.errors().error_status(status, "", call.path)),
            Err(cause) => Err(self.errors().transport(cause)),
        }
    }

    fn send(&self, call: &Call) -> std::result::Result<Response<ureq::Body>, ureq::Error> {
        let (method, content_type, body) = match call.body {
            Body::None => (Method::GET, None, None),
            Body::Json(body) => (Method::PUT, Some("application/json"), Some(body)),
            Body::Bytes(body) => (Method::PUT, Some("application/octet-stream"), Some(body)),
        };
        let mut request = Request::builder().method(method).uri(self.endpoint.url(call.path, call.parameter));
        if let Some(headers) = request.headers_mut() {
            let Credentials { token, authorization } = &self.endpoint.credentials;
            headers.extend(content_type.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))));
            headers.extend(token.as_ref().map(|token| (X_CONSUL_TOKEN, token.header())));
            headers.extend(authorization.as_ref().map(|login| (AUTHORIZATION, login.header())));
        }
        match body {
            None => self.run(request.body(())?),
            // A slice is sent with a Content-Length. A chunked body would bypass Consul's check of the size.
            Some(body) => self.run(request.body(body)?),
        }
    }

    fn run(&self, request: Request<impl AsSendBody>) -> std::result::Result<Response<ureq::Body>, ureq::Error> {
        let limit = self.deadline.left().min(ATTEMPT_TIMEOUT).max(Duration::from_millis(1));
        self.agent.run(self.agent.configure_request(request).timeout_global(Some(limit)).build())
    }
}
