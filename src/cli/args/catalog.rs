//! All commands and their options, as argh describes them. `make generate` writes the shells' completions and the
//! options in the manual pages from this. The programs themselves do not use it, so the linker leaves it out.

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo};

use super::kvx::{clean, copy, diff, list, lock, resume, status, stop, unlock};
use super::{kvx_in, kvx_out};
pub use crate::cli::args::normalize::VALUE_IS_OPTIONAL;
pub use crate::cli::kvx::RAW_HELP;

/// The commands of `kvx`, in the order of its help, without `raw`: it takes the options of `out`, with its own help.
pub fn commands() -> [(&'static str, CommandInfoWithArgs); 11] {
    [
        ("status", status::StatusArgs::get_args_info()),
        ("list", list::ListArgs::get_args_info()),
        ("diff", diff::DiffArgs::get_args_info()),
        ("stop", stop::StopArgs::get_args_info()),
        ("resume", resume::ResumeArgs::get_args_info()),
        ("lock", lock::LockArgs::get_args_info()),
        ("unlock", unlock::UnlockArgs::get_args_info()),
        ("copy", copy::CopyArgs::get_args_info()),
        ("in", kvx_in::KvxInArgs::get_args_info()),
        ("out", kvx_out::KvxOutArgs::get_args_info()),
        ("clean", clean::CleanArgs::get_args_info()),
    ]
}

/// The layers of options that several commands have: the manual pages describe each layer once. A command has its own
/// options first, and then some of the layers, in this order.
pub fn layers() -> [(&'static str, &'static [FlagInfo<'static>]); 4] {
    // --help comes first in each. A layer stands on the layers below it, whose options come last.
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

/// A command line for each layer, which has nothing else.
#[allow(dead_code, reason = "these are described, and never parsed")]
mod layer {
    use crate::cli::args::options::{consul_options, metrics_options, options, site_options};

    options! {
        /// How a run reports.
        pub struct LogLayer {}
    }

    consul_options! {
        /// Which Consul.
        pub struct ConsulLayer {}
    }

    site_options! {
        /// Which keys.
        pub struct SiteLayer {}
    }

    metrics_options! {
        over options:
        /// What is counted.
        pub struct MetricsLayer {}
    }
}
