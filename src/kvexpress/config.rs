//! `-C FILE`: options in a flat YAML mapping. As in kvexpress, they override the flags, and unknown names are ignored. Unlike in
//! kvexpress, a file that cannot be read or parsed is an error: without its token and address, the run would go to another Consul.

use std::path::Path;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::flags::Flags;
use crate::context::Context;
use crate::error::{Result, Status};
use crate::util::read;
use crate::util::typed;

/// The options, changed by the file.
///
/// # Errors
/// 78.
pub fn apply(options: Flags, context: &Context) -> Result<Flags> {
    if options.config.is_empty() {
        return Ok(options);
    }
    let path = Path::new(&options.config);
    let text = String::from_utf8(read::config_file(path, "-C")?).map_err(|_| "it is not UTF-8".to_owned());
    let merged = text.and_then(|text| {
        let (merged, unknown) = merge(options.clone(), &text)?;
        if !unknown.is_empty() {
            context.warn(&format!("-C: unknown names are ignored: {}; give them as flags", unknown.join(", ")));
        }
        Ok(merged)
    });
    merged.map_err(|error| Status::Configuration.error(format!("-C: {}: {error}", path.display())))
}

/// The merged options, and the names that kvexpress's documentation does not have.
fn merge(mut options: Flags, text: &str) -> std::result::Result<(Flags, Vec<String>), String> {
    let mut unknown = Vec::new();
    for (name, value) in pairs(text)? {
        let option = match name.as_str() {
            "consul_server" => &mut options.server,
            "token" => &mut options.token,
            "dogstatsd_address" => &mut options.dogstatsd_address,
            "datadog_api_key" => &mut options.datadog_api_key,
            "datadog_app_key" => &mut options.datadog_app_key,
            "dogstatsd" => {
                let on = value.as_deref().and_then(boolean).ok_or("dogstatsd is neither true nor false")?;
                options.dogstatsd |= on;
                continue;
            }
            "<<" => return Err("merge keys (<<) are not supported; write out the values".into()),
            "datadog_host" => continue, // It selects Datadog's site; our events go to the agent.
            _ => {
                unknown.push(name);
                continue;
            }
        };
        match value {
            Some(value) if value.is_empty() => {}
            Some(value) => {
                typed::plain(&value).map_err(|error| format!("{name}: {error}"))?;
                *option = value;
            }
            None => return Err(format!("{name} is not a string")),
        }
    }
    Ok((options, unknown))
}

/// The names and values of the mapping. The value is `None` if it is a list, a mapping or an alias. No tree is built, so that
/// memory is bounded by the size of the text.
fn pairs(text: &str) -> std::result::Result<Vec<(String, Option<String>)>, String> {
    let (mut pairs, mut level, mut name) = (Vec::new(), 0_usize, None);
    for event in Parser::new_from_str(text) {
        // The message has only the line number: the text may be the token.
        let (event, _) = event.map_err(|error| format!("it is not valid YAML, see line {}", error.marker().line()))?;
        let value = match event {
            Event::DocumentEnd => break,
            Event::Scalar(text, style, ..) => Some(scalar(&text, style)),
            Event::Alias(_) => None,
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                if level == 0 && matches!(event, Event::SequenceStart(..)) {
                    return Err(NOT_A_MAPPING.into());
                }
                level = level.saturating_add(1);
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                level = level.saturating_sub(1);
                None
            }
            _ => continue,
        };
        match (level, name.take(), value) {
            (0, _, Some(value)) if !value.is_empty() => return Err(NOT_A_MAPPING.into()),
            (1, None, value) => name = Some(value.unwrap_or_default()),
            (1, Some(name), value) => pairs.push((name, value)),
            (_, outer, _) => name = outer,
        }
    }
    Ok(pairs)
}

const NOT_A_MAPPING: &str = "it is not a mapping; write lines such as `consul_server: HOST:PORT`";

fn scalar(text: &str, style: ScalarStyle) -> String {
    match text {
        "~" | "null" | "Null" | "NULL" if style == ScalarStyle::Plain => String::new(),
        text => text.to_owned(),
    }
}

/// The booleans of YAML 1.1, which kvexpress's library takes.
fn boolean(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" | "" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(text: &str) -> std::result::Result<Flags, String> {
        let flags = Flags { token: "of the flag".into(), dogstatsd_address: "flag:1".into(), ..Flags::default() };
        merge(flags, text).map(|(options, _)| options)
    }

    #[test]
    fn the_file_beats_the_flags() {
        let options = merged(concat!(
            "---\n  datadog_api_key: api\n  datadog_app_key: 'app'\n  consul_server: \"consul:1\"\n",
            "  token: t-o-k\n  dogstatsd: true\n  dogstatsd_address: here:2\n  datadog_host: elsewhere\n"
        ))
        .map_err(|_| ());
        let wanted = Flags {
            datadog_api_key: "api".into(),
            datadog_app_key: "app".into(),
            server: "consul:1".into(),
            token: "t-o-k".into(),
            dogstatsd: true,
            dogstatsd_address: "here:2".into(),
            ..Flags::default()
        };
        assert!(options == Ok(wanted));
    }

    /// kvexpress's own example has no values.
    #[test]
    fn empty_values_change_nothing() {
        let flags = merged("");
        for text in
            ["---\n", "# nothing\n", "---\n  token:\n  consul_server: ~\n  dogstatsd:\n  dogstatsd_address: ''\n"]
        {
            assert!(merged(text) == flags && flags.is_ok(), "{text}");
        }
    }

    #[test]
    fn unknown_names_are_ignored() {
        let text = "a: [token, {token: x}]\n? [token]\n: token\nb: {token: y, consul_server: [z]}\ntoken: 0123\ndogstatsd: Yes\n";
        let wanted = merged("").map(|options| Flags { token: "0123".into(), dogstatsd: true, ..options });
        assert!(merged(text) == wanted && wanted.is_ok());
    }

    #[test]
    fn an_invalid_file_is_an_error_that_does_not_print_the_token() {
        for text in [
            "token: [secret",
            "token: 'secret",
            "- token: secret\n",
            "token: [secret]",
            "token: {a: secret}",
            "secret",
            "a: &a secret\ntoken: *a",
            "dogstatsd: secret",
            "a: &a {token: secret}\n<<: *a",
            "dogstatsd: [secret]",
        ] {
            let error = merged(text).err();
            assert!(error.as_ref().is_some_and(|error| !error.contains("secret")), "{text}: {error:?}");
        }
    }
}
