//! The environment of the process: variables, command line and hostname. The rest of the library reads them only
//! through this module.

use std::ffi::OsString;

use nix::unistd::{User, getuid};

use crate::error::{Result, Status};
use crate::util::text;

/// The variables and the command line of a run.
#[derive(Clone, Debug)]
pub struct Env {
    variable: fn(&str) -> Option<OsString>,
    arguments: Vec<OsString>,
}

impl Env {
    /// The environment of this process.
    pub fn of_this_process() -> Env {
        Env { variable: |name| std::env::var_os(name), arguments: std::env::args_os().collect() }
    }

    /// An environment with this command line and without variables, for tests.
    pub fn without_variables(arguments: Vec<OsString>) -> Env {
        Env { variable: |_| None, arguments }
    }

    /// The command line, which begins with the program.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// The value of a variable, unchanged.
    pub fn variable(&self, name: &str) -> Option<OsString> {
        (self.variable)(name)
    }

    /// The value of a variable as text. An empty variable counts as unset, as in Consul's own client.
    ///
    /// # Errors
    /// 78 if the value is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<String>> {
        match self.variable(name) {
            None => Ok(None),
            Some(value) if value.is_empty() => Ok(None),
            Some(value) => {
                match value.into_string() {
                    Ok(text) => Ok(Some(text)),
                    Err(_) => Err(Status::Configuration
                        .error(format!("{name} in the environment is not UTF-8; correct or unset it"))),
                }
            }
        }
    }

    /// Whether a watch started this run, so that its payload is on stdin.
    pub fn is_run_by_watch(&self) -> bool {
        self.variable("CONSUL_INDEX").is_some_and(|index| !index.is_empty())
    }

    /// The hostname, or `unknown`, as in kvexpress's keys of locks.
    pub fn hostname(&self) -> String {
        self.known_hostname().unwrap_or_else(|| "unknown".into())
    }

    /// The hostname, if the system knows it.
    pub fn known_hostname(&self) -> Option<String> {
        nix::unistd::gethostname().ok().map(|name| name.to_string_lossy().into_owned())
    }

    /// The name of the real user: if this is root, of the user who ran sudo. Only root's SUDO_USER counts: sudo sets it,
    /// while other users can set it to anything.
    pub fn user(&self) -> String {
        let sudo = self.text("SUDO_USER").ok().flatten().filter(|_| getuid().is_root());
        let own = || User::from_uid(getuid()).ok().flatten().map(|user| user.name);
        text::excerpt(&sudo.or_else(own).unwrap_or_else(|| getuid().to_string()))
    }

    /// The user and the host, as in records: `anna@web-1`.
    pub fn user_at_host(&self) -> String {
        format!("{}@{}", self.user(), text::excerpt(&self.hostname()))
    }
}
