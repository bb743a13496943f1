//! What a shell offers as the value of an option, by the name that src/cli/args gives the value. argh does not know it.

use kvx::telemetry::log::Format;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Nothing can be offered.
    Any,
    /// A key in Consul.
    Key,
    /// A version of the key that the line names.
    Version,
    File,
    Directory,
    /// A program, and its arguments.
    Command,
    User,
    OneOf(&'static str),
}

const ANY: [&str; 14] = [
    "address", "checksum", "duration", "mode", "n", "name", "path", "percent", "prefix", "size", "text", "token",
    "url", "value",
];

impl Value {
    pub fn named(name: &str) -> Value {
        match name {
            "key" => Value::Key,
            "version" => Value::Version,
            "file" => Value::File,
            "dir" => Value::Directory,
            "command" => Value::Command,
            "owner" => Value::User,
            "format" => Value::OneOf("text json"),
            name if ANY.contains(&name) => Value::Any,
            name => panic!("say in tests/docs/generated/value.rs what the shells are to offer for <{name}>"),
        }
    }
}

#[test]
fn the_words_that_are_offered_are_understood() {
    let Value::OneOf(words) = Value::named("format") else { panic!("words") };
    assert!(words.split(' ').all(|word| Format::parse(word).is_some()), "{words}");
}
