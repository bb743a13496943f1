//! As whom we ask: the ACL token and the login, which nobody else may see.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::http::HeaderValue;

use super::flags::Flags;
use crate::error::{Result, Status};
use crate::net::files;
use crate::world::World;

/// A value for a header that nobody may see.
#[derive(Clone)]
pub struct Secret {
    value: HeaderValue,
    /// The option or variable that it is from.
    source: &'static str,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    /// X-Consul-Token.
    pub token: Option<Secret>,
    /// Authorization.
    pub authorization: Option<Secret>,
}

impl Credentials {
    /// Finds out. A token file is read at each run, so that a token may be replaced at any time.
    ///
    /// # Errors
    /// 78: a token file that cannot be read, a token that is none.
    pub fn find(flags: &Flags, world: &World) -> Result<Credentials> {
        Ok(Credentials { token: token(flags, world)?, authorization: authorization(world)? })
    }

    /// As whom, in words.
    pub fn who(&self) -> String {
        match &self.token {
            Some(Secret { source, .. }) => format!("with the token of {source}"),
            None => "without a token".into(),
        }
    }

    /// What somebody says, without our secrets, which an answer may echo.
    pub fn redact(&self, words: &str) -> String {
        let secrets = [&self.token, &self.authorization];
        let texts = secrets.into_iter().flatten().filter_map(|secret| secret.value.to_str().ok());
        texts.fold(words.to_owned(), |words, text| words.replace(text.trim_start_matches("Basic "), "(secret)"))
    }
}

/// The flag; a token file beats the token beside it, and an empty file falls back to it.
fn token(flags: &Flags, world: &World) -> Result<Option<Secret>> {
    if let Some(token) = &flags.token {
        return secret(token, "-t").map(Some);
    }
    let file = match &flags.token_file {
        Some(path) => Some((path.clone(), "--token-file")),
        None => world.text("CONSUL_HTTP_TOKEN_FILE")?.map(|path| (PathBuf::from(path), "CONSUL_HTTP_TOKEN_FILE")),
    };
    if let Some((path, source)) = file
        && let Some(token) = token_in(&path, source)?
    {
        return Ok(Some(token));
    }
    world.text("CONSUL_HTTP_TOKEN")?.map(|token| secret(&token, "CONSUL_HTTP_TOKEN")).transpose()
}

fn token_in(path: &Path, source: &'static str) -> Result<Option<Secret>> {
    let text = String::from_utf8_lossy(&files::read(path, source)?).into_owned();
    match text.trim() {
        "" => Ok(None),
        token => secret(token, source).map(Some),
    }
}

fn authorization(world: &World) -> Result<Option<Secret>> {
    let Some(auth) = world.text("CONSUL_HTTP_AUTH")? else { return Ok(None) };
    let (user, password) = auth.split_once(':').unwrap_or((&auth, ""));
    secret(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))), "CONSUL_HTTP_AUTH").map(Some)
}

fn secret(text: &str, source: &'static str) -> Result<Secret> {
    match HeaderValue::from_str(text) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Ok(Secret { value, source })
        }
        Err(_) => Err(Status::Configuration
            .error(format!("{source} holds characters that no token has; is it the right file or variable?"))),
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
