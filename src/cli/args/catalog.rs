//! All commands and their options, as argh describes them. `make generate` writes the shells' completions and the
//! options in the manual pages from this. The programs themselves do not use it, so the linker leaves it out.

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo};

use super::kvx::{clean, copy, diff, history, hold, list, lock, release, resume, rollback, show, status, stop, unlock};
use super::{kvx_in, kvx_out};
pub use crate::cli::args::normalize::VALUE_IS_OPTIONAL;
pub use crate::cli::kvx::RAW_HELP;

/// The commands of `kvx`, in the order of its help, without `raw`: it takes the options of `out`, with its own help.
pub fn commands() -> [(&'static str, CommandInfoWithArgs); 16] {
    [
        ("status", status::StatusArgs::get_args_info()),
        ("list", list::ListArgs::get_args_info()),
        ("history", history::HistoryArgs::get_args_info()),
        ("show", show::ShowArgs::get_args_info()),
        ("diff", diff::DiffArgs::get_args_info()),
        ("stop", stop::StopArgs::get_args_info()),
        ("rollback", rollback::RollbackArgs::get_args_info()),
        ("resume", resume::ResumeArgs::get_args_info()),
        ("hold", hold::HoldArgs::get_args_info()),
        ("release", release::ReleaseArgs::get_args_info()),
        ("lock", lock::LockArgs::get_args_info()),
        ("unlock", unlock::UnlockArgs::get_args_info()),
        ("copy", copy::CopyArgs::get_args_info()),
        ("in", kvx_in::KvxInArgs::get_args_info()),
        ("out", kvx_out::KvxOutArgs::get_args_info()),
        ("clean", clean::CleanArgs::get_args_info()),
    ]
}

/// The layers of options that several commands share. The manual pages describe each layer once. The options of a
/// command come first, followed by some of the layers in this order.
pub fn layers() -> [(&'static str, &'static [FlagInfo<'static>]); 4] {
    // Each list begins with --help, and ends with the options of the layers below.
    let above = |layer: &'static [FlagInfo<'static>], below: &[FlagInfo<'static>]| {
        layer.get(1..=layer.len().saturating_sub(below.len())).unwrap_or_default()
    };
    let (log, consul) = (layer::LogLayer::get_args_info().flags, layer::ConsulLayer::get_args_info().flags);
    [
        ("metrics", above(layer::MetricsLayer::get_args_info().flags, log)),
        ("site", above(layer::SiteLayer::get_args_info().flags, consul)),
        ("consul", above(consul, log)),
        ("log", above(log, log.get(..1).unwrap_or_default())),
    ]
}

/// For each layer, a command line with the options of this layer and those below.
#[allow(dead_code, reason = "these are described, never parsed")]
mod layer {
    use crate::cli::args::options::{consul_options, metrics_options, options, site_options};

    options! {
        /// Logging options.
        pub struct LogLayer {}
    }

    consul_options! {
        /// Options of the connection to Consul.
        pub struct ConsulLayer {}
    }

    site_options! {
        /// Options that select keys.
        pub struct SiteLayer {}
    }

    metrics_options! {
        over options:
        /// Metrics options.
        pub struct MetricsLayer {}
    }
}
