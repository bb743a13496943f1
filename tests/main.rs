//! All tests are one program: it is linked once, and a test is found by its folder. They run at the same time, on as many threads
//! as there are processors, each in its own directory and under its own key (`tests/common/`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::arithmetic_side_effects, clippy::string_slice, clippy::print_stdout, clippy::print_stderr)]

mod common;

/// Properties of the modules without I/O.
mod properties;

/// What people do with kvx, and what comes of it.
mod stories {
    mod consul_template;
    mod copy;
    mod download;
    mod guards;
    mod handlers;
    mod inputs;
    mod install;
    mod lock_marker;
    mod never_older;
    mod operator;
    mod status;
    mod upload;
    mod wait;
    mod watch;
}

/// What goes wrong, and what is then still true.
mod faults {
    mod answers;
    mod cluster;
    mod crash;
    mod hostile;
    mod inherited;
    mod outages;
    mod pid1;
    mod state;
    mod untrusted;
}

/// What other programs rely on: command lines, lines and metrics that machines read, what is asked of Consul, and as whom.
mod interfaces {
    mod acl;
    mod command_line;
    mod completions;
    mod directory_readers;
    mod kvexpress;
    mod kvexpress_command_lines;
    mod logs;
    mod metrics;
    mod names;
    mod requests;
    mod transport;
}

/// What is written down, drawn, shipped as an example or packaged is true and works.
mod docs {
    mod contributing;
    mod examples;
    mod examples_acl;
    mod man_pages;
    mod markdown;
    mod markdown_names;
    mod packages;
    mod pictures;
    mod runbook;
}
