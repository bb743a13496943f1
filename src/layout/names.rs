//! Validation of paths in the KV store. Only paths are accepted that every version of Consul, its command line and its
//! UI can find again. Pure.

use percent_encoding::percent_decode_str;

use crate::util::typed;

/// The longest path, in bytes. Consul has no limit, but a transaction of at most 512 KiB names a key dozens of times.
const MAX_LENGTH: usize = 1024;

/// Parses a path, and drops leading and trailing slashes.
pub fn path(text: &str) -> Result<String, String> {
    let path = typed::plain(text)?.trim_matches('/');
    if path.is_empty() {
        return Err("it is empty".into());
    }
    if path.len() > MAX_LENGTH {
        return Err(format!("it has {} bytes, maximum {MAX_LENGTH}", path.len()));
    }
    if let Some(c) = typed::unprintable(path) {
        let c = u32::from(c);
        return Err(format!("it has an invisible character (U+{c:04X}), so Consul's own tools could not find it"));
    }
    for segment in path.split('/') {
        match segment {
            "" | "." | ".." => return Err("it has an empty segment, `.` or `..` between slashes".into()),
            _ if segment.trim() != segment => {
                return Err("it has a blank at an end or next to a slash, which Consul rejects from 1.22 on".into());
            }
            _ => {}
        }
    }
    Ok(path.to_owned())
}

/// Parses a path that kvx writes to. Consul from 1.22 on and proxies percent-decode it, possibly more than once, so
/// every decoded form must be valid, too. `a%2Fb` is accepted. `%2e%2e` and `a%20b` are rejected, since they could mean
/// another folder or a blank.
pub fn path_decoded(text: &str) -> Result<String, String> {
    let given = path(text)?;
    let mut read = given.clone();
    loop {
        let decoded = percent_decode_str(&read).decode_utf8_lossy().into_owned();
        if decoded == read {
            return Ok(given);
        }
        let blanks = |text: &str| text.matches(' ').count();
        let wrong = match path(&decoded) {
            Ok(_) if blanks(&decoded) > blanks(&read) => "it has a blank".into(),
            Ok(_) => {
                read = decoded; // The loop ends, since each decoding makes the text shorter or removes per cent signs.
                continue;
            }
            Err(wrong) => wrong,
        };
        return Err(format!("percent-decoded, as Consul reads it from 1.22 on, {wrong}"));
    }
}
