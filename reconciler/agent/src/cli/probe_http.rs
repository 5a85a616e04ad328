//! `reconcile probe-http`: one look of a probe with a URL. How long it may take is its caller's to say.

use super::context::{block_on, install_crypto};
use super::failure::CliError;
use crate::exit::Outcome;
use reqwest::redirect::Policy;

pub(super) fn run(url: &str, status: Option<u16>) -> Result<Outcome, CliError> {
    install_crypto();
    block_on(async {
        let client = reqwest::Client::builder()
            .user_agent(concat!("reconcile/", env!("CARGO_PKG_VERSION")))
            // A redirect is an answer.
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(CliError::Probe)?;
        let found = client
            .get(url)
            .send()
            .await
            .map_err(CliError::Probe)?
            .status()
            .as_u16();
        if status.map_or(found < 400, |status| found == status) {
            Ok(Outcome::Converged)
        } else {
            Err(CliError::ProbeStatus {
                url: url.to_owned(),
                status: found,
            })
        }
    })?
}
