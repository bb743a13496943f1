//! Translates a command and its flags into an order, with kvexpress's defaults.

use std::time::Duration;

use super::flags::Flags;
use super::subcommand::Subcommand;
use super::values::{
    HANDLER_TIMEOUT, consul, file, guards, handler, has_events, key, lines, metrics, missing, needed, parsed, prefix,
};
use super::{PROGRAM, config, owner};
use crate::consul::Consistency;
use crate::context::Context;
use crate::download::{self, AfterOrder, Destination, HandlerPolicy, SourceOrder, Stdin, TargetOrder};
use crate::error::{Result, Status};
use crate::input::Input;
use crate::input::url::Url;
use crate::install::{Parents, WriteMode};
use crate::layout::keys::{Subject, ValuePath};
use crate::layout::marker::Present;
use crate::layout::site::Site;
use crate::layout::stored::Encoding;
use crate::operator::stop::{Reason, StopOrder};
use crate::operator::{clean, lock};
use crate::process::handler::Handler;
use crate::state::replayable;
use crate::telemetry::metrics::Metrics;
use crate::upload::copy;
use crate::upload::{self, Lines, Mode, Terms};
use crate::util::typed;

const TIMEOUT: Duration = Duration::from_secs(30);

/// What to do, and what to run afterwards.
pub struct Job {
    /// The order.
    pub task: Task,
    /// `-d`, `-a` and `-A`.
    pub metrics: Metrics,
    /// `-e`, except for `out` and `raw`, whose order contains the handler.
    pub then: Option<Handler>,
}

/// The order of one command.
pub enum Task {
    /// `in`.
    Upload(Box<upload::UploadOrder>),
    /// `out` and `raw`.
    Download(Box<download::DownloadOrder>),
    /// `copy`.
    Copy(copy::CopyOrder),
    /// `stop`.
    Stop(StopOrder),
    /// `lock`.
    Lock(lock::LockOrder, lock::LockOptions),
    /// `unlock`.
    Unlock(lock::LockOrder),
    /// `clean`.
    Clean(clean::CleanOrder),
}

/// Checks the flags and translates them into an order.
///
/// # Errors
/// 64, 78.
pub fn job(command: Subcommand, flags: Flags, context: &Context) -> Result<Job> {
    let typed = [("-f", &flags.file), ("-C", &flags.config), ("-s", &flags.server), ("-o", &flags.owner)];
    for (flag, text) in typed.into_iter().chain([("-D", &flags.dogstatsd_address)]) {
        parsed(flag, text, |text| typed::plain(text).map(drop))?;
    }
    let words = repeatable(&flags, context);
    let options = config::apply(flags, context)?;
    let handler = handler(&options)?;
    let (task, then) = match command {
        Subcommand::In => (Task::Upload(Box::new(upload(&options)?)), handler),
        Subcommand::Out => {
            let subject = Subject::Document(key("-k", &options.key)?);
            let mut order = download(&options, subject, handler, words, context)?;
            order.source.ignores_stop = options.ignore_stop;
            (Task::Download(Box::new(order)), None)
        }
        Subcommand::Raw => {
            let subject = Subject::Value(parsed("-k", needed("-k", &options.key)?, ValuePath::parse)?);
            (Task::Download(Box::new(download(&options, subject, handler, words, context)?)), None)
        }
        Subcommand::Stop => (Task::Stop(stop(&options)?), handler),
        Subcommand::Lock => {
            let reason = Some(options.reason.clone()).filter(|reason| !reason.is_empty()).map(Reason::Literal);
            let marker = lock::Marker::Visible(options.chmod);
            let lock_options = lock::LockOptions { reason, program: PROGRAM, marker, present: Present::Replace };
            (Task::Lock(lock_order(&options)?, lock_options), None)
        }
        Subcommand::Unlock => (Task::Unlock(lock_order(&options)?), None),
        Subcommand::Clean => {
            let file = file(&options)?;
            (Task::Clean(clean::CleanOrder { file, removes_file: true, state_dir: None }), handler)
        }
        Subcommand::Copy => (Task::Copy(copy(&options)?), handler),
    };
    let metrics = metrics(&options)?;
    if !matches!(task, Task::Clean(_)) {
        warn_of_address(&options, context)?;
    }
    Ok(Job { task, metrics, then })
}

fn upload(options: &Flags) -> Result<upload::UploadOrder> {
    let input = match (options.file.as_str(), options.url.as_str()) {
        ("", "") => return Err(missing("-f or -u")),
        (file, "") => Input::File(file.into()),
        ("", url) => Input::Url(parsed("-u", url, |url| Url::parse(url).map_err(str::to_owned))?),
        _ => return Err(Status::Usage.error("give -f or -u, not both")),
    };
    let terms = Terms {
        key: key("-k", &options.key)?,
        prefix: prefix(options)?,
        // An empty document is always rejected, even with -l 0.
        guards: guards(lines(options).max(1)),
        expect: None,
        differ: has_events(options).then_some(upload::DIFFER),
        stop: upload::MarkerPolicy::Respected,
        hold: upload::MarkerPolicy::Respected,
        mode: Mode::Upload,
        consistency: Consistency::Default,
        description: upload::Description::Nothing,
    };
    Ok(upload::UploadOrder {
        terms,
        input,
        lines: if options.sorted { Lines::Sorted } else { Lines::AsTheyAre },
        form: if options.compress { Encoding::Compressed } else { Encoding::Plain },
        timeout: TIMEOUT,
        consul: consul(options),
    })
}

fn download(
    options: &Flags,
    subject: Subject,
    handler: Option<Handler>,
    command: Option<Vec<String>>,
    context: &Context,
) -> Result<download::DownloadOrder> {
    let source = SourceOrder {
        subject: Some(subject),
        prefix: prefix(options)?,
        consul: consul(options),
        consistency: Consistency::Default,
        ignores_stop: false,
        hold_may_be_denied: true,
        guards: guards(lines(options)),
        // Stdin is read only in a watch: the stdin of a script may never end.
        stdin: if context.env.is_run_by_watch() { Stdin::Payload } else { Stdin::Untouched },
        splay: None,
        wait: None,
        timeout: TIMEOUT,
    };
    let target = TargetOrder {
        to: Destination::File(file(options)?),
        attributes: owner::attributes(&options.owner, options.chmod)?,
        parents: Parents::Create,
        write_mode: WriteMode::Rename,
        check: None,
        state_dir: None,
        ignores_lock: false,
        patience: download::patience(TIMEOUT, HANDLER_TIMEOUT),
    };
    let after = AfterOrder { handler, policy: HandlerPolicy::WhenPending, command };
    Ok(download::DownloadOrder { source, target, after })
}

/// The copy has the encoding of the original, with or without `-z`. (In kvexpress, `-z` has to match the original's encoding.)
fn copy(options: &Flags) -> Result<copy::CopyOrder> {
    let (from, to) = (key("--keyfrom", &options.keyfrom)?, key("--keyto", &options.keyto)?);
    if from == to {
        return Err(Status::Usage.error("--keyfrom and --keyto name the same key"));
    }
    Ok(copy::CopyOrder {
        from,
        to,
        guards: guards(lines(options)),
        stop: upload::MarkerPolicy::Ignored,
        hold: upload::MarkerPolicy::Respected,
        description: upload::Description::Nothing,
        site: site(options)?,
    })
}

/// As in kvexpress, the key need not exist, and the reason is written unchanged.
fn stop(options: &Flags) -> Result<StopOrder> {
    Ok(StopOrder {
        key: key("-k", &options.key)?,
        reason: Reason::Literal(needed("-r", &options.reason)?.to_owned()),
        force: true,
        present: Present::Replace,
        site: site(options)?,
    })
}

fn lock_order(options: &Flags) -> Result<lock::LockOrder> {
    let file = file(options)?;
    if !file.is_absolute() {
        return Err(Status::Usage.error("-f: the path must be absolute, as in the command line of out"));
    }
    Ok(lock::LockOrder { file, site: site(options)?, state_dir: None })
}

fn site(options: &Flags) -> Result<Site> {
    Ok(Site { prefix: prefix(options)?, consul: consul(options), timeout: TIMEOUT })
}

/// kvexpress ignores this variable. A user who sets it may expect otherwise.
fn warn_of_address(options: &Flags, context: &Context) -> Result<()> {
    let is_default = options.server == Flags::default().server;
    if let Some(address) = context.env.text("CONSUL_HTTP_ADDR")?.filter(|_| is_default)
        && !matches!(address.trim_start_matches("http://"), "localhost:8500" | "127.0.0.1:8500")
    {
        context.warn(&format!(
            "CONSUL_HTTP_ADDR is ignored, as by kvexpress: using {}; name another address with -s",
            options.server
        ));
    }
    Ok(())
}

/// The command line to record, unless it depends on the working directory, contains a secret, or ignores a stop.
fn repeatable(flags: &Flags, context: &Context) -> Option<Vec<String>> {
    let is_absolute = flags.file.starts_with('/') && (flags.config.is_empty() || flags.config.starts_with('/'));
    if flags.holds_secret || flags.ignore_stop || !is_absolute { None } else { replayable(context) }
}
