//! kvexpress's commands.

/// A command of kvexpress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subcommand {
    /// Remove a file and the files that kvexpress kept next to it.
    Clean,
    /// Copy a document to another key.
    Copy,
    /// Upload a file.
    In,
    /// Lock a file on this node.
    Lock,
    /// Install a document as a file.
    Out,
    /// Install any value of the KV store as a file.
    Raw,
    /// Stop a key on all nodes.
    Stop,
    /// Unlock a file on this node.
    Unlock,
}

impl Subcommand {
    /// All commands, in the order of the help.
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

    /// The word on the command line.
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
            Subcommand::Clean => "remove a file, and the files kvexpress kept next to it",
            Subcommand::Copy => "copy a document to another key",
            Subcommand::In => "upload a file into Consul, if it has changed",
            Subcommand::Lock => "lock a file on this node: no run changes it",
            Subcommand::Out => "install a file from Consul, and run a handler if it changed",
            Subcommand::Raw => "install any value of the KV store as a file",
            Subcommand::Stop => "stop a key: no node installs it, no uploader changes it",
            Subcommand::Unlock => "unlock a file on this node",
        }
    }
}
