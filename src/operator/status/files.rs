//! The files of this node: their content and attributes, compared with the state files and with Consul.

use std::path::Path;

use serde::Serialize;

use super::StatusOrder;
use super::compare::{FileOnDisk, KeyAccess, checksum_of, content_problem, describe, key_access};
use super::keys::KeyState;
use crate::consul::{self, Client, Consistency, Failure};
use crate::context::Context;
use crate::document::Checksum;
use crate::error::{self, Error};
use crate::install;
use crate::layout::keys::{Key, Prefix};
use crate::layout::lock_file;
use crate::layout::marker::text_of;
use crate::state::{self, LastRun, RecordedState, State, StateDirectory};
use crate::util::path;

#[derive(Clone, Debug, Serialize)]
pub struct FileState {
    /// The file's path.
    pub file: String,
    /// The key, or the path of a value (`--raw`), that the file was installed from; `None` if that is not recorded, or if
    /// another user could have written it.
    pub key: Option<String>,
    /// The SHA-256 of the file's content, in hex; `None` if the file is missing or larger than any document.
    pub checksum: Option<String>,
    /// The SHA-256 of the document in Consul, if it is known.
    pub in_consul: Option<String>,
    /// Whether the document in Consul is known, or why not.
    pub key_state: KeyAccess,
    /// When the document was installed, in seconds since 1970.
    pub since: Option<u64>,
    /// The reason of the file's lock, if it is locked.
    pub lock: Option<String>,
    /// The pending handlers that are recorded.
    pub pending: Vec<String>,
    /// Whether a run is in progress.
    pub busy: bool,
    /// The recorded command line that installs the file; empty if it must not be kept.
    pub command: Vec<String>,
    /// The last run that did something, failed, or ended differently from the run before it.
    pub last_run: Option<LastRun>,
    /// Everything that is wrong with the file, one line each.
    pub problems: Vec<String>,
}

/// Why the files' status is not known.
pub(super) enum StatusError {
    /// Consul did not answer.
    Consul(Failure),
    /// A state file cannot be read.
    State(Error),
}

impl From<Failure> for StatusError {
    fn from(failure: Failure) -> StatusError {
        StatusError::Consul(failure)
    }
}

impl From<Error> for StatusError {
    fn from(error: Error) -> StatusError {
        StatusError::State(error)
    }
}

impl From<StatusError> for Error {
    fn from(error: StatusError) -> Error {
        match error {
            StatusError::Consul(failure) => failure.into(),
            StatusError::State(error) => error,
        }
    }
}

/// The state files of the files that the order selects. A state file is skipped if its file was named by a symbolic link that
/// leads to another file now.
pub(super) fn recorded(order: &StatusOrder, directory: &StateDirectory) -> error::Result<Vec<RecordedState>> {
    let Some(file) = &order.file else {
        let document = order.key.as_ref().map(|key| (order.site.prefix.clone(), key.clone()));
        let is_selected = |one: &RecordedState| document.is_none() || !one.is_trusted || document_of(one) == document;
        let is_current = |one: &RecordedState| {
            install::path_of(one.state.locked_as()).is_ok_and(|now| now == Path::new(&one.state.path))
        };
        let all = state::all(directory)?.into_iter().map(believed);
        return Ok(all.filter(|one| is_selected(one) && is_current(one)).collect());
    };
    Ok(state::read(directory, &install::path_of(file)?)?.into_iter().map(believed).collect())
}

/// The state without what another user may have written: only the file's path is left of it.
fn believed(recorded: RecordedState) -> RecordedState {
    if recorded.is_trusted {
        return recorded;
    }
    let state = State::without_document(Path::new(&recorded.state.path), "");
    RecordedState { state, is_busy: false, is_trusted: false }
}

/// The document that a file was installed from, if that is known.
pub(super) fn document_of(recorded: &RecordedState) -> Option<(Prefix, Key)> {
    let State { prefix, key, .. } = &recorded.state;
    Some((Prefix::parse(prefix.as_ref()?).ok()?, Key::parse(key).ok()?))
}

/// The status of the selected files. Without a client, Consul is not asked.
pub(super) fn states(
    order: &StatusOrder,
    directory: &StateDirectory,
    recorded: &[RecordedState],
    keys: &[KeyState],
    client: Option<&Client>,
    context: &Context,
) -> Result<Vec<FileState>, StatusError> {
    let installed = recorded.iter().map(|one| state(order, directory, one, keys, client, context));
    let unknown = order.file.iter().filter(|_| recorded.is_empty());
    installed.chain(unknown.map(|file| unrecorded(order, directory, file, client, context))).collect()
}

/// The status of a file without a state file.
fn unrecorded(
    order: &StatusOrder,
    directory: &StateDirectory,
    file: &Path,
    client: Option<&Client>,
    context: &Context,
) -> Result<FileState, StatusError> {
    let file = path::absolute(file)?;
    let lock = lock(&order.site.prefix, &file, client, context)?;
    let (checksum, mut problems) = match FileOnDisk::read(&file) {
        FileOnDisk::Exists(installed) => (checksum_of(&installed), Vec::new()),
        FileOnDisk::Missing => (None, vec!["missing".to_owned()]),
        FileOnDisk::Unreadable(why) => (None, vec![why]),
    };
    problems.push(format!("not installed by kvx-out, according to {}", directory.path().display()));
    problems.extend(lock.iter().map(|why| format!("locked: {why}")));
    Ok(FileState {
        file: file.display().to_string(),
        key: None,
        checksum,
        in_consul: None,
        key_state: KeyAccess::Unknown,
        since: None,
        lock,
        pending: Vec::new(),
        busy: false,
        command: Vec::new(),
        last_run: None,
        problems,
    })
}

fn state(
    order: &StatusOrder,
    directory: &StateDirectory,
    recorded: &RecordedState,
    keys: &[KeyState],
    client: Option<&Client>,
    context: &Context,
) -> Result<FileState, StatusError> {
    let state = &recorded.state;
    let file = Path::new(&state.path);
    let (key_state, in_consul) = match &state.prefix {
        Some(prefix) => key_access(keys.iter().find(|key| key.prefix == *prefix && key.key == state.key)),
        None if !recorded.is_trusted => (KeyAccess::Unknown, None),
        None => match client.map(|client| value(client, &state.key)).transpose()? {
            None => (KeyAccess::Unknown, None),
            Some((access, checksum)) => (access, checksum),
        },
    };
    let prefix = state.prefix.as_ref().and_then(|prefix| Prefix::parse(prefix).ok());
    let lock = lock(prefix.as_ref().unwrap_or(&order.site.prefix), state.locked_as(), client, context)?;
    let pending: Vec<String> = state.pending.iter().map(|pending| pending.words.clone()).collect();
    let (checksum, mut problems) = match FileOnDisk::read(file) {
        FileOnDisk::Missing => (None, vec!["missing".to_owned()]),
        FileOnDisk::Unreadable(why) => (None, vec![why]),
        FileOnDisk::Exists(installed) => {
            let on_disk = checksum_of(&installed);
            let problem = content_problem(state, on_disk.as_deref(), key_state, in_consul.as_deref());
            let mut problems: Vec<String> = problem.filter(|_| recorded.is_trusted).into_iter().collect();
            problems.extend(installed.drift(&state.wanted));
            (on_disk, problems)
        }
    };
    let wanted = order.key.as_ref().map(ToString::to_string);
    let wanted = wanted.filter(|key| recorded.is_trusted && *key != state.key);
    problems.extend(wanted.map(|key| format!("installed from {}, not from {key}", state.key)));
    problems
        .extend((!recorded.is_trusted).then(|| "its state is ignored: another user could have written it".to_owned()));
    problems
        .extend(state.unfinished.then(|| "unfinished: a run was interrupted while it installed the file".to_owned()));
    problems.extend(pending.iter().map(|words| format!("pending: {words}")));
    problems.extend(state.last_run.as_ref().filter(|run| run.status != 0).map(describe));
    // A run in progress is about to fix the problems.
    let may_be_busy = recorded.is_trusted && !problems.is_empty();
    let busy = recorded.is_busy || (may_be_busy && has_changed_since(directory, file, state)?);
    if busy {
        problems.clear();
    }
    problems.extend(lock.iter().map(|why| format!("locked: {why}")));
    Ok(FileState {
        file: state.path.clone(),
        key: recorded.is_trusted.then(|| state.key.clone()),
        checksum,
        in_consul,
        key_state,
        since: state.checksum.as_ref().map(|_| state.time),
        lock,
        pending,
        busy,
        command: recorded.command().to_vec(),
        last_run: state.last_run.clone(),
        problems,
    })
}

/// Whether a run is in progress, or has ended since `state` was read.
fn has_changed_since(directory: &StateDirectory, file: &Path, state: &State) -> error::Result<bool> {
    Ok(state::read(directory, file)?.map(believed).is_none_or(|now| now.is_busy || now.state != *state))
}

/// The reason of a file's lock: from the marker next to the file, or else from Consul.
fn lock(prefix: &Prefix, file: &Path, client: Option<&Client>, context: &Context) -> consul::Result<Option<String>> {
    // If the marker cannot be read, the error is shown as the reason.
    let marker = lock_file::locate(file).and_then(|target| target.as_ref().map_or(Ok(None), lock_file::reason));
    match (marker.unwrap_or_else(|error| Some(error.to_string())), client) {
        (None, Some(client)) => {
            let path = prefix.lock(file, &context.env.hostname());
            Ok(client.read(Consistency::Default, &[], &[&path])?.take(&path).as_ref().and_then(text_of))
        }
        (reason, _) => Ok(reason),
    }
}

/// The value that a file was installed from with `--raw`.
fn value(client: &Client, path: &str) -> consul::Result<(KeyAccess, Option<String>)> {
    let (mut entries, denied) = client.read_each(Consistency::Default, &[path], &[])?;
    Ok(match (denied.is_empty(), entries.take(path)) {
        (false, _) => (KeyAccess::Denied, None),
        (true, None) => (KeyAccess::Absent, None),
        (true, Some(entry)) => (KeyAccess::Ok, Some(Checksum::of(&entry.value).to_string())),
    })
}
