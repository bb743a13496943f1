//! `-C FILE`: options in YAML, a flat mapping. What it says beats the flags, as there; what it says of other things is
//! passed over. Unlike there, a file that cannot be read or understood is an error: without its token and its address the
//! run would go elsewhere.

use std::path::Path;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::flags::Flags;
use crate::context::Context;
use crate::error::{Result, Status};
use crate::util::read;
use crate::util::typed;

/// The options as the file wants them.
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
            context.warn(&format!("-C: {} means nothing there; options are flags", unknown.join(", ")));
        }
        Ok(merged)
    });
    merged.map_err(|wrong| Status::Configuration.error(format!("-C: {}: {wrong}", path.display())))
}

/// The options, and the names that kvexpress's documents do not have.
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
            "<<" => return Err("<< is not understood; write out what it brings".into()),
            "datadog_host" => continue, // It chose Datadog's site: events go to the agent.
            _ => {
                unknown.push(name);
                continue;
            }
        };
        match value {
            Some(value) if value.is_empty() => {}
            Some(value) => {
                typed::plain(&value).map_err(|wrong| format!("{name}: {wrong}"))?;
                *option = value;
            }
            None => return Err(format!("{name} is no text")),
        }
    }
    Ok((options, unknown))
}

/// Names and values of the mapping. No value: it is a list or a mapping itself, or an alias. Nothing is built of it, so that
/// it takes no more memory than its text, whatever that says.
fn pairs(text: &str) -> std::result::Result<Vec<(String, Option<String>)>, String> {
    let (mut pairs, mut level, mut name) = (Vec::new(), 0_usize, None);
    for event in Parser::new_from_str(text) {
        // Only where, not what: it may be the token.
        let (event, _) = event.map_err(|error| format!("it is no YAML, see line {}", error.marker().line()))?;
        let value = match event {
            Event::DocumentEnd => break,
            Event::Scalar(text, style, ..) => Some(said(&text, style)),
            Event::Alias(_) => None,
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                if level == 0 && matches!(event, Event::SequenceStart(..)) {
                    return Err(NO_MAPPING.into());
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
            (0, _, Some(value)) if !value.is_empty() => return Err(NO_MAPPING.into()),
            (1, None, value) => name = Some(value.unwrap_or_default()),
            (1, Some(name), value) => pairs.push((name, value)),
            (_, outer, _) => name = outer,
        }
    }
    Ok(pairs)
}

const NO_MAPPING: &str = "it is no mapping; write lines such as `consul_server: HOST:PORT`";

fn said(text: &str, style: ScalarStyle) -> String {
    match text {
        "~" | "null" | "Null" | "NULL" if style == ScalarStyle::Plain => String::new(),
        text => text.to_owned(),
    }
}

/// Of YAML 1.1, as there.
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
    fn what_is_empty_says_nothing() {
        let flags = merged("");
        for text in
            ["---\n", "# nothing\n", "---\n  token:\n  consul_server: ~\n  dogstatsd:\n  dogstatsd_address: ''\n"]
        {
            assert!(merged(text) == flags && flags.is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_of_others_is_passed_over() {
        let text = "a: [token, {token: x}]\n? [token]\n: token\nb: {token: y, consul_server: [z]}\ntoken: 0123\ndogstatsd: Yes\n";
        let wanted = merged("").map(|options| Flags { token: "0123".into(), dogstatsd: true, ..options });
        assert!(merged(text) == wanted && wanted.is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_being_told() {
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
            let wrong = merged(text).err();
            assert!(wrong.as_ref().is_some_and(|wrong| !wrong.contains("secret")), "{text}: {wrong:?}");
        }
    }
}
