//! The files of this node: as they are, as they are recorded, as they should be.

use std::path::Path;

use serde::Serialize;

use super::StatusOrder;
use super::compare::{Disk, KeyAccess, access, checksum_of, compared, ended};
use super::keys::KeyState;
use crate::consul::{self, Client, Consistency, Failure};
use crate::context::Context;
use crate::document::Checksum;
use crate::error::{self, Error};
use crate::install::{self};
use crate::layout::keys::{Key, Prefix};
use crate::layout::lock_file;
use crate::layout::marker::text_of;
use crate::state::{self, LastRun, RecordedState, State, StateDirectory};
use crate::util::path;

/// How a file is.
#[derive(Clone, Debug, Serialize)]
pub struct FileState {
    /// Where.
    pub file: String,
    /// The key, or the path of a value (`--raw`), that it was made of; none where nothing is recorded.
    pub key: Option<String>,
    /// The SHA-256 of what is there now, in hex; none where nothing is.
    pub checksum: Option<String>,
    /// What Consul has, if it could be asked and has it.
    pub in_consul: Option<String>,
    /// Why that is known, or not.
    pub key_state: KeyAccess,
    /// When it was installed, in seconds since 1970.
    pub since: Option<u64>,
    /// Why it is locked, if it is.
    pub lock: Option<String>,
    /// The handlers that are pending, as far as a run knew of them.
    pub pending: Vec<String>,
    /// Whether a run is at it now.
    pub busy: bool,
    /// The command line that installed it, where it may be kept.
    pub command: Vec<String>,
    /// How the last run ended that did something, failed, or ended otherwise than the one before.
    pub last_run: Option<LastRun>,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

/// Why files could not be looked at.
pub(super) enum LookError {
    /// Consul did not answer.
    Consul(Failure),
    /// What this node records cannot be read.
    State(Error),
}

impl From<Failure> for LookError {
    fn from(failure: Failure) -> LookError {
        LookError::Consul(failure)
    }
}

impl From<Error> for LookError {
    fn from(error: Error) -> LookError {
        LookError::State(error)
    }
}

impl From<LookError> for Error {
    fn from(error: LookError) -> Error {
        match error {
            LookError::Consul(failure) => failure.into(),
            LookError::State(error) => error,
        }
    }
}

/// What is recorded, of the files that are wanted. What a link has left behind, which leads to another file now, is of none.
pub(super) fn recorded(order: &StatusOrder, directory: &StateDirectory) -> error::Result<Vec<RecordedState>> {
    let Some(file) = &order.file else {
        let document = order.key.as_ref().map(|key| (order.site.prefix.clone(), key.clone()));
        let is_wanted = |one: &RecordedState| document.is_none() || document_of(one) == document;
        let is_current = |one: &RecordedState| install::path_of(one.state.locked_as()) == Path::new(&one.state.path);
        return Ok(state::all(directory)?.into_iter().filter(|one| is_wanted(one) && is_current(one)).collect());
    };
    Ok(state::read(directory, &install::path_of(file))?.into_iter().collect())
}

/// The document that a file was made of.
pub(super) fn document_of(recorded: &RecordedState) -> Option<(Prefix, Key)> {
    let State { prefix, key, .. } = &recorded.state;
    Some((Prefix::parse(prefix.as_ref()?).ok()?, Key::parse(key).ok()?))
}

/// Looks at the files. Without a client, Consul cannot be asked.
pub(super) fn states(
    order: &StatusOrder,
    directory: &StateDirectory,
    recorded: &[RecordedState],
    keys: &[KeyState],
    client: Option<&Client>,
    context: &Context,
) -> Result<Vec<FileState>, LookError> {
    let known = recorded.iter().map(|one| state(order, directory, one, keys, client, context));
    let unknown = order.file.iter().filter(|_| recorded.is_empty());
    known.chain(unknown.map(|file| strange(order, directory, file, client, context))).collect()
}

/// A file of which nothing is recorded.
fn strange(
    order: &StatusOrder,
    directory: &StateDirectory,
    file: &Path,
    client: Option<&Client>,
    context: &Context,
) -> Result<FileState, LookError> {
    let file = path::absolute(file);
    let lock = lock(&order.site.prefix, &file, client, context)?;
    let (checksum, mut problems) = match Disk::look(&file) {
        Disk::Has(installed) => (checksum_of(&installed), Vec::new()),
        Disk::Missing => (None, vec!["missing".to_owned()]),
        Disk::Unreadable(why) => (None, vec![why]),
    };
    problems.push(format!("not installed by kvx-out, as far as is recorded in {}", directory.path().display()));
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
) -> Result<FileState, LookError> {
    let state = &recorded.state;
    let file = Path::new(&state.path);
    let (key_state, in_consul) = match &state.prefix {
        Some(prefix) => access(keys.iter().find(|key| key.prefix == *prefix && key.key == state.key)),
        None => match client.map(|client| value(client, &state.key)).transpose()? {
            None => (KeyAccess::Unknown, None),
            Some((access, checksum)) => (access, checksum),
        },
    };
    let prefix = state.prefix.as_ref().and_then(|prefix| Prefix::parse(prefix).ok());
    let lock = lock(prefix.as_ref().unwrap_or(&order.site.prefix), state.locked_as(), client, context)?;
    let pending: Vec<String> = state.pending.iter().map(|pending| pending.words.clone()).collect();
    let (checksum, mut problems) = match Disk::look(file) {
        Disk::Missing => (None, vec!["missing".to_owned()]),
        Disk::Unreadable(why) => (None, vec![why]),
        Disk::Has(installed) => {
            let is = checksum_of(&installed);
            let mut problems: Vec<String> =
                compared(state, is.as_deref(), key_state, in_consul.as_deref()).into_iter().collect();
            problems.extend(installed.drift(&state.wanted));
            (is, problems)
        }
    };
    let wanted = order.key.as_ref().map(ToString::to_string).filter(|key| *key != state.key);
    problems.extend(wanted.map(|key| format!("installed from {}, not from {key}", state.key)));
    problems.extend(
        (!recorded.is_trusted).then(|| "its state is not believed: another user can have written it".to_owned()),
    );
    problems.extend(state.unfinished.then(|| "a run that died has left it unfinished".to_owned()));
    problems.extend(pending.iter().map(|words| format!("pending: {words}")));
    problems.extend(state.last_run.as_ref().filter(|run| run.status != 0).map(ended));
    // What a run is just putting right is not wrong.
    let busy = recorded.is_busy || (!problems.is_empty() && has_moved_on(directory, file, state)?);
    if busy {
        problems.clear();
    }
    problems.extend(lock.iter().map(|why| format!("locked: {why}")));
    Ok(FileState {
        file: state.path.clone(),
        key: Some(state.key.clone()),
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

/// Whether a run is at the file now, or has been since it was looked at.
fn has_moved_on(directory: &StateDirectory, file: &Path, state: &State) -> error::Result<bool> {
    Ok(state::read(directory, file)?.is_none_or(|now| now.is_busy || now.state != *state))
}

/// Why a file is locked, if it is: by the mark beside it, or else by that in Consul.
fn lock(prefix: &Prefix, file: &Path, client: Option<&Client>, context: &Context) -> consul::Result<Option<String>> {
    // What cannot be read is shown where the reason would be.
    let beside = lock_file::place(file).and_then(|place| place.as_ref().map_or(Ok(None), lock_file::reason));
    match (beside.unwrap_or_else(|error| Some(error.to_string())), client) {
        (None, Some(client)) => {
            let path = prefix.lock(file, &context.env.hostname());
            Ok(client.read(Consistency::Default, &[], &[&path])?.take(&path).as_ref().and_then(text_of))
        }
        (beside, _) => Ok(beside),
    }
}

/// Of a file made by `--raw`.
fn value(client: &Client, path: &str) -> consul::Result<(KeyAccess, Option<String>)> {
    let (mut entries, denied) = client.read_each(Consistency::Default, &[path], &[])?;
    Ok(match (denied.is_empty(), entries.take(path)) {
        (false, _) => (KeyAccess::Denied, None),
        (true, None) => (KeyAccess::Absent, None),
        (true, Some(entry)) => (KeyAccess::Ok, Some(Checksum::of(&entry.value).to_string())),
    })
}
