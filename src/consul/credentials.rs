//! The ACL token and the HTTP login for Consul. Neither may appear in a message.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use ureq::http::HeaderValue;

use super::options::ConnectOptions;
use crate::env::Env;
use crate::error::{Error, Result, Status};
use crate::util::read;

/// The secret value of a header.
#[derive(Clone)]
pub struct Secret {
    value: HeaderValue,
    /// The texts that must not appear in a message.
    texts: Vec<String>,
    /// The option or variable that it comes from.
    source: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct Credentials {
    /// The header X-Consul-Token.
    pub token: Option<Secret>,
    /// The header Authorization.
    pub authorization: Option<Secret>,
}

impl Credentials {
    /// Reads the credentials from the options and the environment. A token file is read in each run, so that its token
    /// can be replaced at any time.
    ///
    /// # Errors
    /// 78 if the token file cannot be read, or a token has characters that a header cannot carry.
    pub fn from_options(flags: &ConnectOptions, env: &Env) -> Result<Credentials> {
        Ok(Credentials { token: token(flags, env)?, authorization: authorization(env)? })
    }

    /// For messages: which token was sent, without the token itself.
    pub fn description(&self) -> String {
        match &self.token {
            Some(Secret { source, .. }) => format!("with the token from {source}"),
            None => "without a token".into(),
        }
    }

    /// Whether an answer repeats a secret or a recognizable part of it, in any encoding or case. Such an answer is not
    /// shown.
    pub fn appear_in(&self, answer: &str) -> bool {
        let texts = || [&self.token, &self.authorization].into_iter().flatten().flat_map(|secret| &secret.texts);
        let plain = normalized(answer);
        texts().any(|text| !text.is_empty() && answer.contains(text.as_str()))
            || texts().any(|text| {
                let secret = normalized(text);
                let mut pieces = secret.as_bytes().windows(MIN_PIECE.min(secret.len()).max(1));
                pieces.any(|piece| plain.as_bytes().windows(piece.len()).any(|window| window == piece))
            })
    }
}

/// The number of characters from which on a part of a secret must not be shown: it identifies the secret, or helps to
/// guess it.
const MIN_PIECE: usize = 8;

/// A text without its differences in encoding: percent-decoded twice (a proxy may have encoded it once more), in lower
/// case, and without separators.
fn normalized(text: &str) -> String {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let text = decoded(&decoded(text));
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The token, in this order: `-t`, `--token-file`, CONSUL_HTTP_TOKEN_FILE, CONSUL_HTTP_TOKEN. As in Consul's own
/// client, an empty CONSUL_HTTP_TOKEN_FILE falls back to CONSUL_HTTP_TOKEN. Unlike there, it is an error if that is
/// unset, too: an operator who names a token file does not want anonymous requests.
fn token(flags: &ConnectOptions, env: &Env) -> Result<Option<Secret>> {
    if let Some(token) = &flags.token {
        return secret(token, "-t").map(Some);
    }
    if let Some(path) = &flags.token_file {
        let empty = || unusable("--token-file", path, "is empty; write the token into it, or name another file");
        return token_in(path, "--token-file")?.map_or_else(|| Err(empty()), |token| Ok(Some(token)));
    }
    let from_variable = || env.text("CONSUL_HTTP_TOKEN")?.map(|token| secret(&token, "CONSUL_HTTP_TOKEN")).transpose();
    let Some(path) = env.text("CONSUL_HTTP_TOKEN_FILE")?.map(PathBuf::from) else { return from_variable() };
    let source = "CONSUL_HTTP_TOKEN_FILE";
    match token_in(&path, source)? {
        Some(token) => Ok(Some(token)),
        None => match from_variable()? {
            Some(token) => Ok(Some(token)),
            None => Err(unusable(source, &path, "is empty, and CONSUL_HTTP_TOKEN is not set; write the token into it")),
        },
    }
}

fn token_in(path: &Path, source: &'static str) -> Result<Option<Secret>> {
    let bytes = read::config_file(path, source)?;
    if let Some(encoding) = byte_order_mark(&bytes) {
        let why =
            format!("begins with a byte order mark ({encoding}), as some editors write it; save it as plain ASCII");
        return Err(unusable(source, path, &why));
    }
    match String::from_utf8_lossy(&bytes).trim() {
        "" => Ok(None),
        token => secret(token, source).map(Some),
    }
}

/// The encoding whose byte order mark begins the file, if there is one.
fn byte_order_mark(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => Some("UTF-8"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        _ => None,
    }
}

fn unusable(source: &str, path: &Path, why: &str) -> Error {
    Status::Configuration.error(format!("{source}: {} {why}", path.display()))
}

fn authorization(env: &Env) -> Result<Option<Secret>> {
    let Some(auth) = env.text("CONSUL_HTTP_AUTH")? else { return Ok(None) };
    let (user, password) = auth.split_once(':').unwrap_or((&auth, ""));
    let login = BASE64_STANDARD.encode(format!("{user}:{password}"));
    let header = secret(&format!("Basic {login}"), "CONSUL_HTTP_AUTH")?;
    let texts = [login, password.to_owned()].into_iter().filter(|text| !text.is_empty());
    Ok(Some(Secret { texts: texts.collect(), ..header }))
}

fn secret(text: &str, source: &'static str) -> Result<Secret> {
    match HeaderValue::from_str(text) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Ok(Secret { value, texts: vec![text.to_owned()], source })
        }
        Err(_) => Err(Status::Configuration
            .error(format!("{source} has characters that a token cannot have; is it the right file or variable?"))),
    }
}

impl Secret {
    pub(super) fn header(&self) -> HeaderValue {
        self.value.clone()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(token: &str, login: &str) -> Credentials {
        let of = |text: &str, texts: &[&str]| {
            let texts = texts.iter().map(|&text| text.to_owned()).collect();
            Some(Secret { value: HeaderValue::from_static("x"), texts, source: "-t" }).filter(|_| !text.is_empty())
        };
        Credentials {
            token: of(token, &[token]),
            authorization: of(login, &[&BASE64_STANDARD.encode(login), "open-sesame"]),
        }
    }

    #[test]
    fn a_secret_is_recognized_in_any_encoding_and_case() {
        let ours = credentials("5ec7e75e-c7e7-5ec7-e75e-c7e75ec7aaaa", "bob:open-sesame");
        for answer in [
            "token 5ec7e75e-c7e7-5ec7-e75e-c7e75ec7aaaa",
            "5EC7E75E-C7E7",
            "5ec7e75e%2Dc7e7",
            "5ec7e75e%252Dc7e7",
            "%35ec7e75e",
            "5ec7\ne75e c7e7",
            "the last digits: e75ec7aaaa",
            "Authorization: Basic Ym9iOm9wZW4tc2VzYW1l",
            "password OPEN SESAME",
        ] {
            assert!(ours.appear_in(answer), "{answer}");
        }
        for answer in
            ["", "ACL not found", "5ec7e75", "Permission denied: token with AccessorID '11111111-2222'", "bob"]
        {
            assert!(!ours.appear_in(answer), "{answer}");
        }
        assert!(credentials("root", "").appear_in("ROOT") && !credentials("root", "").appear_in("roo"));
        assert!(credentials("--//--", "").appear_in("a--//--b"));
        assert!(!credentials("", "").appear_in("anything"));
    }
}
