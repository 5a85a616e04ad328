//! The http client of the polls: kept alive across them, never redirected behind our back.

use camino::Utf8PathBuf;
use reqwest::{Certificate, Client, redirect::Policy};

use super::settings::{HttpsSettings, Timeouts};

/// Why there is no http client.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The process has no TLS implementation installed: a bug in `main`.
    #[error("no TLS implementation is installed; this is a bug")]
    NoTls,
    /// The file of certificates cannot be read.
    #[error("cannot read the certificates of {path}")]
    Certificates {
        /// Which file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file does not hold certificates.
    #[error("{path} does not hold PEM certificates")]
    NotCertificates {
        /// Which file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The client cannot be set up.
    #[error("cannot set up the http client")]
    Setup(#[source] reqwest::Error),
}

/// Makes the client.
pub(super) fn client(settings: &HttpsSettings, timeouts: Timeouts) -> Result<Client, HttpClientError> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(HttpClientError::NoTls);
    }
    let mut builder = Client::builder()
        .user_agent(concat!("reconcile/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(timeouts.connect)
        // Of one poll; a connection is kept for the next.
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(None);
    if let Some(path) = &settings.ca_file {
        let pem = std::fs::read(path).map_err(|source| HttpClientError::Certificates {
            path: path.clone(),
            source,
        })?;
        let certificates =
            Certificate::from_pem_bundle(&pem).map_err(|source| HttpClientError::NotCertificates {
                path: path.clone(),
                source,
            })?;
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(HttpClientError::Setup)
}
