//! The options for Consul's address, token and TLS.

use std::path::PathBuf;

/// The options of the command line. The environment applies where an option is missing.
#[derive(Clone, Default)]
pub struct ConnectOptions {
    /// `-s`, instead of CONSUL_HTTP_ADDR.
    pub address: Option<String>,
    /// `-t`.
    pub token: Option<String>,
    /// `--token-file`, instead of CONSUL_HTTP_TOKEN_FILE.
    pub token_file: Option<PathBuf>,
    /// `--dc`.
    pub datacenter: Option<String>,
    /// `--ca-file`, instead of CONSUL_CACERT.
    pub ca_file: Option<PathBuf>,
    /// `--client-cert`, instead of CONSUL_CLIENT_CERT.
    pub client_cert: Option<PathBuf>,
    /// `--client-key`, instead of CONSUL_CLIENT_KEY.
    pub client_key: Option<PathBuf>,
    /// `--tls-server-name`, instead of CONSUL_TLS_SERVER_NAME.
    pub tls_server_name: Option<String>,
}
