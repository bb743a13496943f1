//! What the process was given: variables, the command line, the name of this node. Nothing else in the library asks for them.

use std::ffi::OsString;

use crate::error::{Result, Status};

/// The environment of a run.
#[derive(Clone, Debug)]
pub struct Env {
    variable: fn(&str) -> Option<OsString>,
    arguments: Vec<OsString>,
}

impl Env {
    /// The process's own.
    pub fn of_this_process() -> Env {
        Env { variable: |name| std::env::var_os(name), arguments: std::env::args_os().collect() }
    }

    /// Without variables, and with this command line: for tests.
    pub fn without_variables(arguments: Vec<OsString>) -> Env {
        Env { variable: |_| None, arguments }
    }

    /// The command line, the program included.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// A variable as it is.
    pub fn variable(&self, name: &str) -> Option<OsString> {
        (self.variable)(name)
    }

    /// A variable as text; an empty one is unset, as for Consul's own client.
    ///
    /// # Errors
    /// 78 where it is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<String>> {
        match self.variable(name) {
            None => Ok(None),
            Some(value) if value.is_empty() => Ok(None),
            Some(value) => match value.into_string() {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(Status::Configuration
                    .error(format!("{name} in the environment is not UTF-8; set it anew or unset it"))),
            },
        }
    }

    /// Whether a watch has started this run: then its payload is on stdin.
    pub fn is_run_by_watch(&self) -> bool {
        self.variable("CONSUL_INDEX").is_some_and(|index| !index.is_empty())
    }

    /// This node's name, as kvexpress takes it for the key of a lock.
    pub fn hostname(&self) -> String {
        self.known_hostname().unwrap_or_else(|| "unknown".into())
    }

    /// The same, if it is known.
    pub fn known_hostname(&self) -> Option<String> {
        nix::unistd::gethostname().ok().map(|name| name.to_string_lossy().into_owned())
    }
}
