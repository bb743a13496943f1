//! All tests are one program: it is linked once, and a test is found by its folder. The tests run at the same time, on
//! as many threads as there are processors, each in its own directory and under its own key (`tests/common/`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::arithmetic_side_effects, clippy::string_slice, clippy::print_stdout, clippy::print_stderr)]

mod common;

/// Properties of the modules without I/O.
mod properties;

/// What people do with kvx, and what comes of it.
mod stories {
    mod clean;
    mod clean_history;
    mod consul_template;
    mod copy;
    mod diff;
    mod download;
    mod download_state;
    mod guards;
    mod handlers;
    mod history;
    mod history_kept;
    mod hold;
    mod input_urls;
    mod inputs;
    mod install;
    mod install_attributes;
    mod install_in_place;
    mod list;
    mod lock;
    mod lock_marker;
    mod lock_marker_shared;
    mod never_older;
    mod operator;
    mod payloads;
    mod raw;
    mod rollback;
    mod status;
    mod status_locks;
    mod status_overview;
    mod status_unreadable;
    mod stop;
    mod unlock;
    mod upload;
    mod wait;
    mod watch;
    mod watches;
}

/// What goes wrong, and what is then still true.
mod faults {
    mod answers;
    mod bad_documents;
    mod cluster;
    mod crash;
    mod forged_text;
    mod history_clocks;
    mod history_crash;
    mod history_crash_clean;
    mod history_races;
    mod hostile;
    mod hostile_attributes;
    mod hostile_checks;
    mod hostile_identity;
    mod hostile_links;
    mod hostile_moved;
    mod hostile_replaced;
    mod hostile_shared;
    mod hostile_timing;
    mod inherited;
    mod lost_answers;
    mod outages;
    mod pid1;
    mod stalled_agents;
    mod state;
    mod survival;
    mod untrusted;
}

/// What other programs rely on: command lines, lines and metrics that machines read, what is asked of Consul, and as
/// whom.
mod interfaces {
    mod acl;
    mod acl_roles;
    mod addresses;
    mod command_line;
    mod completions;
    mod directory_readers;
    mod history_names;
    mod history_plan;
    mod kvexpress;
    mod kvexpress_command_lines;
    mod kvexpress_flags;
    mod logs;
    mod metrics;
    mod metrics_textfile;
    mod names;
    mod records;
    mod requests;
    mod tokens;
    mod transport;
    mod transport_failures;
}

/// What is written down, drawn, shipped as an example or packaged is true and works.
mod docs {
    mod contributing;
    mod examples;
    mod examples_acl;
    mod generated;
    mod man_pages;
    mod markdown;
    mod markdown_names;
    mod packages;
    mod pictures;
    mod runbook;
}
