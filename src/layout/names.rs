//! Which paths the KV store is given: only those that every version of Consul, its command line and its UI find again. Pure.

use percent_encoding::percent_decode_str;

use crate::util::typed;

/// In bytes. Consul itself knows no limit, but a transaction names a key dozens of times, within 512 KiB.
const LONGEST: usize = 1024;

/// Reads a path, without the slashes around it.
pub fn path(text: &str) -> Result<String, String> {
    let path = typed::plain(text)?.trim_matches('/');
    if path.is_empty() {
        return Err("it is empty".into());
    }
    if path.len() > LONGEST {
        return Err(format!("it has {} bytes, and the limit is {LONGEST}", path.len()));
    }
    if let Some(c) = typed::unprintable(path) {
        let c = u32::from(c);
        return Err(format!("it has an invisible character (U+{c:04X}), with which Consul's own tools do not find it"));
    }
    for segment in path.split('/') {
        match segment {
            "" | "." | ".." => return Err("it has an empty segment, `.` or `..` between slashes".into()),
            _ if segment.trim() != segment => {
                return Err("it has a blank at an end, or next to a slash, which Consul refuses from 1.22 on".into());
            }
            _ => {}
        }
    }
    Ok(path.to_owned())
}

/// The same, for what is written: also as it is percent-decoded, by Consul from 1.22 on and by proxies, once or more often. `a%2Fb`
/// is a name; `%2e%2e` and `a%20b`, with which a blank or another folder may be meant, are none.
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
                read = decoded; // Shorter, or with fewer per cent signs.
                continue;
            }
            Err(wrong) => wrong,
        };
        return Err(format!("percent-decoded, as Consul reads it from 1.22 on, {wrong}"));
    }
}
