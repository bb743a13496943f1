//! `-C FILE`: options in YAML, a flat mapping. What it says beats the flags, as there; what it says of other things is
//! passed over. Unlike there, a file that cannot be read or understood is an error: without its token and its address the
//! run would go elsewhere.

use std::path::Path;

use yaml_rust2::{Yaml, YamlLoader};

use super::flags::Options;
use crate::error::{Result, Status};

/// The options as the file wants them.
///
/// # Errors
/// 78.
pub fn apply(options: Options) -> Result<Options> {
    if options.config.is_empty() {
        return Ok(options);
    }
    let path = Path::new(&options.config);
    let text = fs_err::read_to_string(path).map_err(|cause| {
        Status::Configuration.error(format!("-C: {cause}; give a file that this user may read, or leave it out"))
    })?;
    merge(options.clone(), &text)
        .map_err(|wrong| Status::Configuration.error(format!("-C {}: {wrong}", path.display())))
}

fn merge(mut options: Options, text: &str) -> std::result::Result<Options, String> {
    // Only where, not what: the line may be the token's.
    let broken = |line: usize| format!("it is no YAML, see line {line}");
    let documents = YamlLoader::load_from_str(text).map_err(|error| broken(error.marker().line()))?;
    let map = match documents.first() {
        None | Some(Yaml::Null) => return Ok(options),
        Some(map @ Yaml::Hash(_)) => map,
        Some(_) => return Err("it is no mapping; write lines such as `consul_server: HOST:PORT`".into()),
    };
    let texts = [
        ("consul_server", &mut options.server),
        ("token", &mut options.token),
        ("dogstatsd_address", &mut options.dogstatsd_address),
        ("datadog_api_key", &mut options.datadog_api_key),
        ("datadog_app_key", &mut options.datadog_app_key),
    ];
    for (name, option) in texts {
        match &map[name] {
            Yaml::String(text) if !text.is_empty() => text.clone_into(option),
            Yaml::String(_) | Yaml::Null | Yaml::BadValue => {}
            _ => return Err(format!("{name} is no text; put it in quotes")),
        }
    }
    match &map["dogstatsd"] {
        Yaml::Boolean(on) => options.dogstatsd |= on,
        Yaml::String(word) if matches!(word.as_str(), "yes" | "on") => options.dogstatsd = true, // YAML 1.1, as there.
        Yaml::String(word) if matches!(word.as_str(), "" | "no" | "off") => {}
        Yaml::Null | Yaml::BadValue => {}
        _ => return Err("dogstatsd is neither true nor false".into()),
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(text: &str) -> std::result::Result<Options, String> {
        let flags = Options { token: "of the flag".into(), dogstatsd_address: "flag:1".into(), ..Options::default() };
        merge(flags, text)
    }

    #[test]
    fn the_file_beats_the_flags() {
        let options = merged(concat!(
            "---\n  datadog_api_key: api\n  datadog_app_key: 'app'\n  consul_server: \"consul:1\"\n",
            "  token: t-o-k\n  dogstatsd: true\n  dogstatsd_address: here:2\n  datadog_host: elsewhere\n"
        ))
        .map_err(|_| ());
        let wanted = Options {
            datadog_api_key: "api".into(),
            datadog_app_key: "app".into(),
            server: "consul:1".into(),
            token: "t-o-k".into(),
            dogstatsd: true,
            dogstatsd_address: "here:2".into(),
            ..Options::default()
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
    fn what_makes_no_sense_is_refused_without_being_told() {
        for text in ["token: [secret", "token: 'secret", "- token: secret\n", "token: [secret]", "token: 5", "secret"] {
            let wrong = merged(text).err();
            assert!(wrong.as_ref().is_some_and(|wrong| !wrong.contains("secret")), "{text}: {wrong:?}");
        }
    }
}
