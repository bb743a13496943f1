//! Flags become an order of our own stories, with what kvexpress takes for granted.

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

/// What is to be done, and what is to be run afterwards.
pub struct Job {
    /// The order.
    pub work: Task,
    /// `-d`, `-a` and `-A`.
    pub metrics: Metrics,
    /// `-e`, but for `out` and `raw`, whose handler is part of the order.
    pub then: Option<Handler>,
}

/// An order for one of our stories.
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

/// The order, and whether it makes sense.
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
    let (work, then) = match command {
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
            let manner = lock::LockOptions { reason, program: PROGRAM, marker, present: Present::Replace };
            (Task::Lock(locked(&options)?, manner), None)
        }
        Subcommand::Unlock => (Task::Unlock(locked(&options)?), None),
        Subcommand::Clean => {
            let file = file(&options)?;
            (Task::Clean(clean::CleanOrder { file, removes_file: true, state_dir: None }), handler)
        }
        Subcommand::Copy => (Task::Copy(copy(&options)?), handler),
    };
    let metrics = metrics(&options)?;
    if !matches!(work, Task::Clean(_)) {
        warn_of_address(&options, context)?;
    }
    Ok(Job { work, metrics, then })
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
        // Nothing at all is never let in, whatever -l is.
        guards: guards(lines(options).max(1)),
        expect: None,
        differ: has_events(options).then_some(upload::DIFFER),
        stop: upload::StopPolicy::Respected,
        mode: Mode::Upload,
        consistency: Consistency::Default,
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
        guards: guards(lines(options)),
        // A script that was never given a payload may have a stdin that never ends.
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

/// As it is stored, whether `-z` is said or not: there, it must be said where it is compressed, and must not where it is not.
fn copy(options: &Flags) -> Result<copy::CopyOrder> {
    let (from, to) = (key("--keyfrom", &options.keyfrom)?, key("--keyto", &options.keyto)?);
    if from == to {
        return Err(Status::Usage.error("--keyfrom and --keyto name the same key"));
    }
    Ok(copy::CopyOrder {
        from,
        to,
        guards: guards(lines(options)),
        stop: upload::StopPolicy::Ignored,
        site: site(options)?,
    })
}

/// As there, also a key that is not in Consul yet, and the reason as it is.
fn stop(options: &Flags) -> Result<StopOrder> {
    Ok(StopOrder {
        key: key("-k", &options.key)?,
        reason: Reason::Literal(needed("-r", &options.reason)?.to_owned()),
        force: true,
        present: Present::Replace,
        site: site(options)?,
    })
}

fn locked(options: &Flags) -> Result<lock::LockOrder> {
    let file = file(options)?;
    if !file.is_absolute() {
        return Err(Status::Usage.error("-f: write the whole path, from / on, as out is given it"));
    }
    Ok(lock::LockOrder { file, site: site(options)?, state_dir: None })
}

fn site(options: &Flags) -> Result<Site> {
    Ok(Site { prefix: prefix(options)?, consul: consul(options), timeout: TIMEOUT })
}

/// kvexpress never heeded the variable. Who sets it may think that it does.
fn warn_of_address(options: &Flags, context: &Context) -> Result<()> {
    let is_default = options.server == Flags::default().server;
    if let Some(address) = context.env.text("CONSUL_HTTP_ADDR")?.filter(|_| is_default)
        && !matches!(address.trim_start_matches("http://"), "localhost:8500" | "127.0.0.1:8500")
    {
        context.warn(&format!(
            "CONSUL_HTTP_ADDR is not heeded, as it never was by kvexpress: {} is asked; name another with -s",
            options.server
        ));
    }
    Ok(())
}

/// The command line, if it is the same everywhere, holds no secret, and heeds a stop.
fn repeatable(flags: &Flags, context: &Context) -> Option<Vec<String>> {
    let is_anywhere = flags.file.starts_with('/') && (flags.config.is_empty() || flags.config.starts_with('/'));
    if flags.holds_secret || flags.ignore_stop || !is_anywhere { None } else { replayable(context.env.arguments()) }
}
