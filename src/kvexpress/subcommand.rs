//! kvexpress's commands.

/// What kvexpress is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subcommand {
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

impl Subcommand {
    /// In the order of the help.
    pub(super) const ALL: [Subcommand; 8] = [
        Subcommand::Clean,
        Subcommand::Copy,
        Subcommand::In,
        Subcommand::Lock,
        Subcommand::Out,
        Subcommand::Raw,
        Subcommand::Stop,
        Subcommand::Unlock,
    ];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Subcommand::Clean => "clean",
            Subcommand::Copy => "copy",
            Subcommand::In => "in",
            Subcommand::Lock => "lock",
            Subcommand::Out => "out",
            Subcommand::Raw => "raw",
            Subcommand::Stop => "stop",
            Subcommand::Unlock => "unlock",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Subcommand::Clean => "remove a file, and what kvexpress kept beside it",
            Subcommand::Copy => "copy a document to another key",
            Subcommand::In => "upload a file into Consul, if it has changed",
            Subcommand::Lock => "lock a file on this node: it stays as it is",
            Subcommand::Out => "install a file from Consul, and run a handler if it changed",
            Subcommand::Raw => "install any value of the KV store as a file",
            Subcommand::Stop => "stop a key: no node installs it, and nobody uploads it",
            Subcommand::Unlock => "unlock a file on this node",
        }
    }
}
