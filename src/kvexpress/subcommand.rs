//! kvexpress's commands.

/// What kvexpress is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Remove a file and what kvexpress kept beside it.
    Clean,
    /// One key's document to another key.
    Copy,
    /// A file into Consul.
    In,
    /// Lock a file on this node.
    Lock,
    /// A document out of Consul, to a file.
    Out,
    /// Any value of the KV store, to a file.
    Raw,
    /// Stop a key on all nodes.
    Stop,
    /// Unlock a file on this node.
    Unlock,
}

impl Command {
    /// In the order of the help.
    pub(super) const ALL: [Command; 8] = [
        Command::Clean,
        Command::Copy,
        Command::In,
        Command::Lock,
        Command::Out,
        Command::Raw,
        Command::Stop,
        Command::Unlock,
    ];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Command::Clean => "clean",
            Command::Copy => "copy",
            Command::In => "in",
            Command::Lock => "lock",
            Command::Out => "out",
            Command::Raw => "raw",
            Command::Stop => "stop",
            Command::Unlock => "unlock",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Command::Clean => "remove a file, and what kvexpress kept beside it",
            Command::Copy => "copy a document to another key",
            Command::In => "upload a file into Consul, if it has changed",
            Command::Lock => "lock a file on this node: it stays as it is",
            Command::Out => "install a file from Consul, and run a handler if it changed",
            Command::Raw => "install any value of the KV store as a file",
            Command::Stop => "stop a key: no node installs it, and nobody uploads it",
            Command::Unlock => "unlock a file on this node",
        }
    }
}
