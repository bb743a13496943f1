//! Which Consul, and as whom, as far as the command line says so.

use std::path::PathBuf;

/// What the command line says about Consul; what it does not say, the environment may.
#[derive(Clone, Default)]
pub struct ConnectOptions {
    /// `-s`: as CONSUL_HTTP_ADDR.
    pub address: Option<String>,
    /// `-t`.
    pub token: Option<String>,
    /// `--token-file`: as CONSUL_HTTP_TOKEN_FILE.
    pub token_file: Option<PathBuf>,
    /// `--dc`.
    pub datacenter: Option<String>,
    /// `--ca-file`: as CONSUL_CACERT.
    pub ca_file: Option<PathBuf>,
    /// `--client-cert`: as CONSUL_CLIENT_CERT.
    pub client_cert: Option<PathBuf>,
    /// `--client-key`: as CONSUL_CLIENT_KEY.
    pub client_key: Option<PathBuf>,
    /// `--tls-server-name`: as CONSUL_TLS_SERVER_NAME.
    pub tls_server_name: Option<String>,
}
