//! Options that several command lines share. argh cannot share options between structs, so these macros append them to
//! each struct, in layers.

/// Logging options, of every command.
macro_rules! options {
    ($(#[$about:meta])* pub struct $Args:ident { $($own:tt)* }) => {
        #[derive(argh::FromArgs, argh::ArgsInfo, Debug)]
        $(#[$about])*
        pub struct $Args {
            $($own)*

            /// also log unchanged files and retries
            #[argh(switch, short = 'v')]
            verbose: bool,

            /// log errors only
            #[argh(switch, short = 'q')]
            quiet: bool,

            /// format of the lines on stderr: text, or json, an object a line [default: text]
            #[argh(option, arg_name = "format", default = "Default::default()", from_str_fn($crate::cli::args::values::log_format))]
            log_format: $crate::telemetry::log::Format,

            /// print the version
            #[argh(switch)]
            #[allow(dead_code, reason = "handled before parsing, since it needs no other option")]
            version: bool,
        }

        impl $crate::cli::args::CommonArgs for $Args {
            fn verbosity(&self) -> $crate::context::Verbosity {
                $crate::cli::args::verbosity(self.verbose, self.quiet)
            }

            fn log_format(&self) -> $crate::telemetry::log::Format {
                self.log_format
            }
        }
    };
}

/// Options of the connection to Consul, of every command that uses Consul.
macro_rules! consul_options {
    ($(#[$about:meta])* pub struct $Args:ident { $($own:tt)* }) => {
        $crate::cli::args::options::options! {
            $(#[$about])*
            pub struct $Args {
                $($own)*

                /// address of Consul: host:port, https://host:port or unix:///path [default: 127.0.0.1:8500]
                #[argh(option, short = 's', arg_name = "address", from_str_fn($crate::cli::args::values::name))]
                server: Option<String>,

                /// datacenter [default: the agent's own]
                #[argh(option, arg_name = "name", from_str_fn($crate::cli::args::values::name))]
                dc: Option<String>,

                /// file with the ACL token
                #[argh(option, arg_name = "file", from_str_fn($crate::cli::args::values::path))]
                token_file: Option<std::path::PathBuf>,

                /// the ACL token itself; it is visible in ps: prefer --token-file or the environment
                #[argh(option, short = 't', arg_name = "token")]
                token: Option<String>,

                /// file with the CA's certificate, for https [default: CONSUL_CACERT, CONSUL_CAPATH, the system's]
                #[argh(option, arg_name = "file", from_str_fn($crate::cli::args::values::path))]
                ca_file: Option<std::path::PathBuf>,

                /// file with the client certificate, if Consul requires one [default: CONSUL_CLIENT_CERT]
                #[argh(option, arg_name = "file", from_str_fn($crate::cli::args::values::path))]
                client_cert: Option<std::path::PathBuf>,

                /// file with its private key [default: CONSUL_CLIENT_KEY]
                #[argh(option, arg_name = "file", from_str_fn($crate::cli::args::values::path))]
                client_key: Option<std::path::PathBuf>,

                /// name in Consul's certificate, if it is not the address's [default: CONSUL_TLS_SERVER_NAME]
                #[argh(option, arg_name = "name", from_str_fn($crate::cli::args::values::name))]
                tls_server_name: Option<String>,
            }
        }

        impl $Args {
            fn consul(&self) -> $crate::consul::ConnectOptions {
                $crate::consul::ConnectOptions {
                    address: self.server.clone(),
                    token: self.token.clone(),
                    token_file: self.token_file.clone(),
                    datacenter: self.dc.clone(),
                    ca_file: self.ca_file.clone(),
                    client_cert: self.client_cert.clone(),
                    client_key: self.client_key.clone(),
                    tls_server_name: self.tls_server_name.clone(),
                }
            }
        }
    };
}

/// Options that select keys, of the operator's commands.
macro_rules! site_options {
    ($(#[$about:meta])* pub struct $Args:ident { $($own:tt)* }) => {
        $crate::cli::args::options::consul_options! {
            $(#[$about])*
            pub struct $Args {
                $($own)*

                /// folder of all keys in the KV store [default: kvexpress]
                #[argh(option, short = 'p', arg_name = "prefix", from_str_fn(crate::cli::args::values::prefix))]
                prefix: Option<crate::layout::keys::Prefix>,

                /// limit for all requests to Consul [default: 30s]
                #[argh(option, arg_name = "duration", from_str_fn(crate::cli::args::values::duration))]
                timeout: Option<std::time::Duration>,
            }
        }

        impl $Args {
            fn site(&self) -> $crate::layout::site::Site {
                $crate::layout::site::Site {
                    prefix: self.prefix.clone().unwrap_or_default(),
                    consul: self.consul(),
                    timeout: self.timeout.unwrap_or($crate::layout::site::TIMEOUT),
                }
            }
        }
    };
}

/// Metrics options, on top of another layer.
macro_rules! metrics_options {
    (over $layer:ident: $(#[$about:meta])* pub struct $Args:ident { $($own:tt)* }) => {
        $crate::cli::args::options::$layer! {
            $(#[$about])*
            pub struct $Args {
                $($own)*

                /// send metrics to dogstatsd, as --dogstatsd or --dogstatsd=address: host:port or unix:///path [default: DD_DOGSTATSD_URL, DD_AGENT_HOST, localhost:8125]
                #[argh(option, arg_name = "address", from_str_fn($crate::cli::args::values::dogstatsd))]
                dogstatsd: Option<Option<$crate::telemetry::metrics::dogstatsd::StatsdAddress>>,

                /// prefix of the metrics' names [default: kvexpress]
                #[argh(option, arg_name = "name", default = "String::from(\"kvexpress\")", from_str_fn($crate::telemetry::metrics::dogstatsd::prefix))]
                metrics_prefix: String,

                /// write metrics into this directory, for the textfile collector of Prometheus's node_exporter
                #[argh(option, arg_name = "dir", from_str_fn($crate::cli::args::values::path))]
                metrics_textfile: Option<std::path::PathBuf>,
            }
        }

        impl $Args {
            fn metrics(&self, events: bool) -> $crate::error::Result<$crate::telemetry::metrics::Metrics> {
                $crate::cli::args::metrics(self.dogstatsd.clone(), &self.metrics_prefix, events, self.metrics_textfile.clone())
            }
        }
    };
}

pub(crate) use {consul_options, metrics_options, options, site_options};
