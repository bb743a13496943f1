//! Reads a document from a URL. An answer is accepted only if it is surely the complete document, not an error page or
//! a part.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use ureq::Body;
use ureq::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, LOCATION, TRANSFER_ENCODING};
use ureq::http::{Request, Response, StatusCode, Version};

use crate::context::Context;
use crate::document::guard::too_large;
use crate::error::{Error, Result, Status};
use crate::input::url::Url;
use crate::net::refusal::{Refusal, Remedies, refusal};
use crate::net::tls::{self, Tls};
use crate::net::{self, Explained, Route, Trail, trust};
use crate::util::time::Deadline;

const MAX_REDIRECTS: usize = 10;

/// Reads a document of at most `max_size` bytes within `limit`. It follows redirects, uses no proxy, and sends no
/// credentials of Consul.
///
/// # Errors
/// 74 if the document cannot be read completely, 65 if it is larger.
pub(crate) fn fetch(url: &Url, max_size: usize, limit: Duration, context: &Context) -> Result<Vec<u8>> {
    let mut fetch = Fetch {
        url,
        at: url.clone(),
        trail: Trail::default(),
        deadline: Deadline::within(limit),
        trusted: None,
        context,
    };
    for _ in 0..=MAX_REDIRECTS {
        let mut response = fetch.get()?;
        if response.status() == StatusCode::OK {
            return fetch.read_document(&mut response, max_size);
        }
        match header(&response, &LOCATION) {
            Some(location) if matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) => {
                let target = fetch.at.redirected(location);
                fetch.at = target.map_err(|why| fetch.failed(&format!("it redirects {why}; give the final URL")))?;
            }
            _ => return Err(fetch.error_status(response.status())),
        }
    }
    Err(fetch.failed(&format!("it redirects more than {MAX_REDIRECTS} times; give the final URL")))
}

struct Fetch<'a> {
    /// The URL of the command line.
    url: &'a Url,
    /// The URL after the redirects so far.
    at: Url,
    trail: Trail,
    deadline: Deadline,
    /// The TLS configuration, made for the first https URL.
    trusted: Option<Arc<ClientConfig>>,
    context: &'a Context,
}

impl Fetch<'_> {
    fn get(&mut self) -> Result<Response<Body>> {
        let route = match self.at.is_https() {
            true => Route::Tls(self.tls()?),
            false => Route::Plain,
        };
        let agent = net::agent(&route, net::config().build(), Some(&self.trail));
        let mut request = self.at.uri().map(Request::get).unwrap_or_default();
        if let Some(login) = self.at.login() {
            request = request.header(AUTHORIZATION, login);
        }
        let left = self.deadline.left().max(Duration::from_millis(1));
        let response = request
            .body(())
            .map_err(ureq::Error::from)
            .and_then(|request| agent.run(agent.configure_request(request).timeout_global(Some(left)).build()));
        response.map_err(|error| self.transport_error(error))
    }

    fn tls(&mut self) -> Result<Tls> {
        let config = match &self.trusted {
            Some(config) => config.clone(),
            None => self.trusted.insert(system_tls(self.context)?).clone(),
        };
        match ServerName::try_from(self.at.host().to_owned()) {
            Ok(server_name) => Ok(Tls { config, server_name }),
            Err(_) => Err(self.failed("a certificate cannot have this host name; is the URL right?")),
        }
    }

    fn read_document(&self, response: &mut Response<Body>, max_size: usize) -> Result<Vec<u8>> {
        if let Some(encoding) = header(response, &CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
            let encoding: String = encoding.chars().take(20).collect();
            return Err(self.failed(&format!(
                "the answer is compressed ({encoding}), which was not requested; read it with `-- curl --compressed`"
            )));
        }
        if !has_length(response) {
            return Err(self.failed(
                "the server sends no Content-Length, so kvx cannot detect a truncated document; if you accept that, read it with `-- curl`",
            ));
        }
        let limit = u64::try_from(max_size).unwrap_or(u64::MAX);
        response.body_mut().with_config().limit(limit).read_to_vec().map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => too_large("too large", max_size).of(self.url),
            error => self.transport_error(error),
        })
    }

    /// The error for an answer with a status other than 200.
    fn error_status(&self, status: StatusCode) -> Error {
        let remedy = match status.as_u16() {
            401 | 407 => "put user:password@ before the host, or read it with `-- curl`",
            429 | 500.. => "run it again when the server has recovered",
            _ => "is the URL right?",
        };
        self.failed(&format!("the server answers HTTP {status} instead of 200; {remedy}"))
    }

    /// The error for a failure below HTTP.
    fn transport_error(&self, error: ureq::Error) -> Error {
        let late = || {
            let limit = humantime::format_duration(self.deadline.limit());
            format!("it has not ended within {limit}; raise --timeout")
        };
        self.failed(&match error {
            ureq::Error::Timeout(_) => late(),
            ureq::Error::Io(cause) if cause.kind() == ErrorKind::TimedOut => late(),
            ureq::Error::Io(cause) => tls_refusal(&cause).unwrap_or_else(|| match cause.kind() {
                ErrorKind::UnexpectedEof => "the connection broke before its end; run it again".into(),
                _ if Explained::in_error(&cause).is_some() => cause.to_string(),
                _ => format!("{cause}; is its server up, and the URL right?"),
            }),
            ureq::Error::HostNotFound => "the host name is unknown; is the URL right?".into(),
            ureq::Error::ConnectionFailed => "no connection can be made; is its server up, and the URL right?".into(),
            _ => "the server does not speak HTTP; is the URL right, and is it http or https?".into(),
        })
    }

    fn failed(&self, why: &str) -> Error {
        let redirect = match &self.at {
            at if at == self.url => String::new(),
            at => format!(" (redirected to {at})"),
        };
        Status::CannotRead.error(format!("{}{redirect} cannot be read: {why}", self.url))
    }
}

/// Whether the answer states its length, by Content-Length or by chunks. Without it, the end of the connection would
/// end the document, also if the connection was cut: ureq does not distinguish the two, even with TLS.
fn has_length(response: &Response<Body>) -> bool {
    let chunked = header(response, &TRANSFER_ENCODING).is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    response.headers().contains_key(CONTENT_LENGTH) || (chunked && response.version() == Version::HTTP_11)
}

fn header<'r>(response: &'r Response<Body>, name: &HeaderName) -> Option<&'r str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

/// A TLS configuration with the system's CAs and without a client certificate. The options and variables for TLS apply
/// to Consul only.
fn system_tls(context: &Context) -> Result<Arc<ClientConfig>> {
    let roots = trust::of_the_system(&context.env)?;
    if roots.is_empty() {
        return Err(Status::Configuration.error(
            "there is no CA certificate to verify the URL's server with; install ca-certificates, or name a file with SSL_CERT_FILE",
        ));
    }
    Ok(Arc::new(tls::builder()?.with_root_certificates(roots).with_no_client_auth()))
}

fn tls_refusal(cause: &io::Error) -> Option<String> {
    let remedies = Remedies {
        unknown_ca: "add the CA's certificate to the system's, or name its file with SSL_CERT_FILE",
        other_name: "",
        unknown_name: "is the URL right?",
        plain: "write http:// if that is intended",
        client_certificate: "it requires a client certificate; read it with `-- curl --cert`",
    };
    match refusal(cause, &remedies)? {
        Refusal::Server(why) | Refusal::Configuration(why) => Some(why),
    }
}
