//! Reading a document from a URL. Only what is surely all of it counts: no page that says what went wrong, no half.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use ureq::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, LOCATION, TRANSFER_ENCODING};
use ureq::http::{Request, Response, StatusCode, Version};
use ureq::{Body, Error as Fault};

use crate::context::Context;
use crate::document::guard::too_large;
use crate::error::{Error, Result, Status};
use crate::input::url::Url;
use crate::net::refusal::{Refusal, Remedies, refusal};
use crate::net::tls::{self, Tls};
use crate::net::{self, Explained, Route, Trail, trust};
use crate::util::time::Deadline;

/// So many redirects are followed.
const REDIRECTS: usize = 10;

/// Reads it, at most `most` bytes and within `limit`. Nobody but the server of the URL, and of those that it redirects
/// to, is asked: no proxy. Nothing of Consul's is told to them.
///
/// # Errors
/// 74 where it cannot be read to its end, 65 where it is larger.
pub(crate) fn fetch(url: &Url, most: usize, limit: Duration, context: &Context) -> Result<Vec<u8>> {
    let mut fetch = Fetch {
        url,
        at: url.clone(),
        trail: Trail::default(),
        deadline: Deadline::within(limit),
        trusted: None,
        context,
    };
    for _ in 0..=REDIRECTS {
        let mut response = fetch.ask()?;
        if response.status() == StatusCode::OK {
            return fetch.document(&mut response, most);
        }
        match header(&response, &LOCATION) {
            Some(location) if matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) => {
                fetch.at = fetch.at.redirected(location).map_err(|where_to| {
                    fetch.failed(&format!("it redirects {where_to}; give the URL that is meant"))
                })?;
            }
            _ => return Err(fetch.no_document(response.status())),
        }
    }
    Err(fetch.failed(&format!("it redirects more than {REDIRECTS} times; give the URL that is meant")))
}

struct Fetch<'a> {
    url: &'a Url,
    /// Where it was redirected to.
    at: Url,
    trail: Trail,
    deadline: Deadline,
    /// Read at the first https.
    trusted: Option<Arc<ClientConfig>>,
    context: &'a Context,
}

impl Fetch<'_> {
    fn ask(&mut self) -> Result<Response<Body>> {
        let way = match self.at.is_https() {
            true => Route::Tls(self.tls()?),
            false => Route::Plain,
        };
        let agent = net::agent(&way, net::config().build(), Some(&self.trail));
        let mut request = self.at.uri().map(Request::get).unwrap_or_default();
        if let Some(login) = self.at.login() {
            request = request.header(AUTHORIZATION, login);
        }
        let left = self.deadline.left().max(Duration::from_millis(1));
        let answered = request
            .body(())
            .map_err(Fault::from)
            .and_then(|request| agent.run(agent.configure_request(request).timeout_global(Some(left)).build()));
        answered.map_err(|fault| self.broken(fault))
    }

    fn tls(&mut self) -> Result<Tls> {
        let config = match &self.trusted {
            Some(config) => config.clone(),
            None => self.trusted.insert(trusting_the_system(self.context)?).clone(),
        };
        match ServerName::try_from(self.at.host().to_owned()) {
            Ok(server_name) => Ok(Tls { config, server_name }),
            Err(_) => Err(self.failed("no certificate can have the name of its host; is the URL right?")),
        }
    }

    fn document(&self, response: &mut Response<Body>, most: usize) -> Result<Vec<u8>> {
        if let Some(encoding) = header(response, &CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
            let encoding: String = encoding.chars().take(20).collect();
            return Err(self.failed(&format!(
                "it comes compressed ({encoding}), which nobody has asked for; let `-- curl --compressed` read it"
            )));
        }
        if !says_where_it_ends(response) {
            return Err(self.failed(
                "its server does not say where it ends (Content-Length), so half of it would look whole; let `-- curl` read it if that is to be",
            ));
        }
        let limit = u64::try_from(most).unwrap_or(u64::MAX);
        response.body_mut().with_config().limit(limit).read_to_vec().map_err(|fault| match fault {
            Fault::BodyExceedsLimit(_) => too_large("too large", most).of(self.url),
            fault => self.broken(fault),
        })
    }

    /// An answer that is none.
    fn no_document(&self, status: StatusCode) -> Error {
        let remedy = match status.as_u16() {
            401 | 407 => "put user:password@ before its host, or let `-- curl` read it",
            429 | 500.. => "run it again when its server is well",
            _ => "is the URL right?",
        };
        self.failed(&format!("it answers HTTP {status}, and only 200 brings a document; {remedy}"))
    }

    /// What went wrong below HTTP.
    fn broken(&self, fault: Fault) -> Error {
        let late = || {
            let limit = humantime::format_duration(self.deadline.limit());
            format!("it has not ended within {limit}; give it longer with --timeout")
        };
        self.failed(&match fault {
            Fault::Timeout(_) => late(),
            Fault::Io(cause) if cause.kind() == ErrorKind::TimedOut => late(),
            Fault::Io(cause) => refused(&cause).unwrap_or_else(|| match cause.kind() {
                ErrorKind::UnexpectedEof => "the connection broke before its end; run it again".into(),
                _ if Explained::in_error(&cause).is_some() => cause.to_string(),
                _ => format!("{cause}; is its server up, and the URL right?"),
            }),
            Fault::HostNotFound => "the name of its host is unknown; is the URL right?".into(),
            Fault::ConnectionFailed => "no connection can be made; is its server up, and the URL right?".into(),
            _ => "what answers does not speak HTTP; is the URL right, and is it http or https?".into(),
        })
    }

    fn failed(&self, why: &str) -> Error {
        let whence = match &self.at {
            at if at == self.url => String::new(),
            at => format!(" (by way of {at})"),
        };
        Status::CannotRead.error(format!("{}{whence} cannot be read: {why}", self.url))
    }
}

/// An end of the connection would be one also where it is cut: ureq makes no difference there, with TLS neither.
fn says_where_it_ends(response: &Response<Body>) -> bool {
    let chunked = header(response, &TRANSFER_ENCODING).is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    response.headers().contains_key(CONTENT_LENGTH) || (chunked && response.version() == Version::HTTP_11)
}

fn header<'r>(response: &'r Response<Body>, name: &HeaderName) -> Option<&'r str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

/// The system's CAs, and no certificate of ours: those of Consul's flags and variables are for Consul.
fn trusting_the_system(context: &Context) -> Result<Arc<ClientConfig>> {
    let roots = trust::of_the_system(&context.env)?;
    if roots.is_empty() {
        return Err(Status::Configuration.error(
            "there is no CA certificate to check the URL's server with; install ca-certificates, or name a file with SSL_CERT_FILE",
        ));
    }
    Ok(Arc::new(tls::builder()?.with_root_certificates(roots).with_no_client_auth()))
}

/// What TLS refuses.
fn refused(cause: &io::Error) -> Option<String> {
    let remedies = Remedies {
        unknown_ca: "add the CA's certificate to the system's, or name its file with SSL_CERT_FILE",
        other_name: "",
        unknown_name: "is the URL right?",
        plain: "write http:// if that is meant",
        client_certificate: "it wants a client certificate; let `-- curl --cert` read it",
    };
    match refusal(cause, &remedies)? {
        Refusal::Server(why) | Refusal::Configuration(why) => Some(why),
    }
}
