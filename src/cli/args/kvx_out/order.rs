//! Turns the options of `kvx-out` into an order, and rejects options that do not fit together.

use std::ffi::OsString;

use super::KvxOutArgs;
use crate::cli::args;
use crate::consul::{ConnectOptions, Consistency};
use crate::context::Context;
use crate::download::{self, AfterOrder, Destination, DownloadOrder, HandlerPolicy, SourceOrder, Stdin, TargetOrder};
use crate::error::{Error, Result, Status};
use crate::install::{Attributes, Parents, WriteMode};
use crate::layout::keys::{Subject, ValuePath};
use crate::process::handler::Handler;
use crate::process::program::Program;
use crate::state::replayable;
use crate::telemetry::metrics::Metrics;

impl KvxOutArgs {
    /// The metrics of the run.
    ///
    /// # Errors
    /// 64.
    pub fn run_metrics(&self) -> Result<Metrics> {
        self.metrics(false)
    }

    /// The options of `kvx raw`, where `-k` is the whole path of a value.
    ///
    /// # Errors
    /// 64 if `-k` is missing: a payload cannot replace it.
    pub fn into_raw(mut self) -> Result<KvxOutArgs> {
        match (&self.key, &self.raw) {
            (Some(key), None) => self.raw = ValuePath::parse(&key.to_string()).ok(),
            (None, None) => return Err(Status::Usage.error("-k is missing, the whole path of the value")),
            _ => return Ok(self),
        }
        self.key = None;
        Ok(self)
    }

    /// Whether `kvx unlock --run` may rerun this command line: it contains no token, no option for one run only, no
    /// relative path, and names the key itself instead of relying on a payload.
    fn is_replayable(&self, consul: &ConnectOptions) -> bool {
        let files = [&consul.token_file, &consul.ca_file, &consul.client_cert, &consul.client_key, &self.state_dir];
        let mut files = files.into_iter().chain([&self.metrics_textfile]).flatten().chain([&self.file]);
        let is_for_one_run = self.force || self.ignore_stop || self.ignore_lock;
        let is_complete = self.key.is_some() || self.raw.is_some();
        self.token.is_none() && !is_for_one_run && is_complete && files.all(|file| file.is_absolute())
    }

    /// The order, if the options fit together. `command` contains the words after `--`.
    ///
    /// # Errors
    /// 64.
    pub fn order(self, command: Option<Vec<OsString>>, context: &Context) -> Result<DownloadOrder> {
        let consul = self.consul();
        let words = self.is_replayable(&consul).then(|| replayable(context)).flatten();
        let subject = match (self.key, self.raw) {
            (Some(_), Some(_)) => return Err(usage("give -k or --raw, not both")),
            (key, raw) => key.map(Subject::Document).or(raw.map(Subject::Value)),
        };
        let to = match self.file {
            file if file.as_os_str() == "-" => Destination::Stdout,
            file => Destination::File(file),
        };
        let program = handler_program(self.exec, command)?;
        let file_options = [
            (program.is_some(), "a handler"),
            (self.chmod.is_some(), "-c"),
            (self.owner.is_some(), "-o"),
            (self.state_dir.is_some(), "--state-dir"),
            (self.check.is_some(), "--check"),
            (self.max_shrink.is_some(), "--max-shrink"),
            (self.mkdir, "--mkdir"),
            (self.in_place, "--in-place"),
        ];
        if let (Destination::Stdout, Some((_, what))) = (&to, file_options.iter().find(|(given, _)| *given)) {
            return Err(usage(&format!("with -f - there is no file for {what}")));
        }
        if self.always_run && program.is_none() {
            return Err(usage("--always-run without a handler runs nothing; give one with -e or behind --"));
        }
        let consistency = match (self.stale, self.consistent) {
            (true, true) => return Err(usage("give --stale or --consistent, not both")),
            (true, false) => Consistency::Stale,
            (false, true) => Consistency::Consistent,
            (false, false) => Consistency::Default,
        };
        let by_watch = self.payload || subject.is_none() || context.env.is_run_by_watch();
        let source = SourceOrder {
            subject,
            prefix: self.prefix.unwrap_or_default(),
            consul,
            consistency,
            ignores_stop: self.ignore_stop,
            hold_may_be_denied: false,
            guards: args::guards(self.min_lines, self.max_size, self.max_shrink, self.force),
            stdin: if by_watch { Stdin::Payload } else { Stdin::Untouched },
            splay: self.splay,
            wait: self.wait,
            timeout: self.timeout,
        };
        let target = TargetOrder {
            to,
            attributes: Attributes { mode: self.chmod, ..self.owner.unwrap_or_default() },
            parents: if self.mkdir { Parents::Create } else { Parents::MustExist },
            write_mode: if self.in_place { WriteMode::InPlace } else { WriteMode::Rename },
            check: self.check,
            state_dir: self.state_dir,
            ignores_lock: self.ignore_lock,
            patience: download::patience(self.timeout, self.handler_timeout),
        };
        let after = AfterOrder {
            handler: program.map(|program| Handler { program, limit: self.handler_timeout }),
            policy: if self.always_run { HandlerPolicy::Always } else { HandlerPolicy::WhenPending },
            command: words,
        };
        Ok(DownloadOrder { source, target, after })
    }
}

fn usage(what: &str) -> Error {
    Status::Usage.error(what)
}

/// The handler, from `-e` or from the words after `--`.
fn handler_program(exec: Option<String>, command: Option<Vec<OsString>>) -> Result<Option<Program>> {
    match (exec, command) {
        (Some(_), Some(_)) => Err(usage("give the handler with -e or behind --, not both")),
        (Some(words), None) => Program::parse(&words).map(Some).map_err(|wrong| usage(&format!("-e {wrong}"))),
        (None, Some(argv)) => {
            Program::checked(argv).map(Some).map_err(|wrong| usage(&format!("the handler behind -- {wrong}")))
        }
        (None, None) => Ok(None),
    }
}
