//! A poll over http(s): one question for one ref.
//!
//! A server that speaks protocol version 2 is asked for the one ref, and from the second poll on with a single
//! POST (`gitprotocol-v2(5)`: the protocol is stateless, so its capabilities need no second look); an older one
//! sends its whole list, which is read as it arrives.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, LOCATION},
};
use url::Url;

use super::object_id::ObjectId;
use super::{
    advertisement::{Advertisement, Answer, ls_refs},
    branches::HEADS,
    credentials::{self, Basic},
    failure::RemoteError,
    fleet_url::HttpAddress,
    settings::HttpsSettings,
};

const SERVICE: &str = "/info/refs?service=git-upload-pack";
const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
const UPLOAD_PACK: &str = "/git-upload-pack";
const REQUEST: &str = "application/x-git-upload-pack-request";
const RESULT: &str = "application/x-git-upload-pack-result";
/// The header that asks for version 2 (`gitprotocol-http(5)`).
const PROTOCOL: (&str, &str) = ("Git-Protocol", "version=2");
/// A rename and the move to https make two.
const MOST_REDIRECTS: usize = 4;

/// One http url and what was learnt of its server.
#[derive(Debug)]
pub(super) struct HttpRemote {
    /// Where the server was found to speak version 2.
    version2: Mutex<Option<Url>>,
}

/// Where the branch is, and the url that answered, after redirects.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) head: ObjectId,
    pub(super) url: Url,
}

impl HttpRemote {
    pub(super) fn new() -> Self {
        Self {
            version2: Mutex::new(None),
        }
    }

    /// Asks where the branch is. `patience` is for a connection that may be dead; the whole has no limit of its own.
    pub(super) async fn head(
        &self,
        client: &Client,
        settings: &HttpsSettings,
        address: &HttpAddress,
        branch: &str,
        patience: Duration,
    ) -> Result<Found, RemoteError> {
        let remembered = self.remember(None);
        if let Some(url) = remembered {
            let poll = Poll {
                client,
                basic: login(settings, address, &url)?,
                branch,
            };
            // Whatever else it says now, it is asked again from the start. A connection that was kept over a
            // laptop's sleep may say nothing at all.
            let asked = tokio::time::timeout(patience, poll.ls_refs(&url, &format!("{HEADS}{branch}"))).await;
            if let Ok(Ok(Answer::Head(head))) = asked {
                self.remember(Some(url.clone()));
                return Ok(Found { head, url });
            }
        }
        let mut url = address.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let poll = Poll {
                client,
                basic: login(settings, address, &url)?,
                branch,
            };
            match poll.advertisement(&url).await? {
                Advertised::Redirect(to) => url = to,
                Advertised::Answer(Answer::Head(head)) => return Ok(Found { head, url }),
                Advertised::Answer(Answer::Missing(branches)) => return Err(poll.missing(branches)),
                Advertised::Answer(Answer::Version2) => {
                    let head = poll.ask_version2(&url).await?;
                    self.remember(Some(url.clone()));
                    return Ok(Found { head, url });
                }
            }
        }
        Err(RemoteError::RedirectLoop)
    }

    fn remember(&self, url: Option<Url>) -> Option<Url> {
        std::mem::replace(
            &mut *self.version2.lock().unwrap_or_else(PoisonError::into_inner),
            url,
        )
    }
}

/// What is shown to the host of `url`, which may differ from the configured one in its scheme.
fn login(settings: &HttpsSettings, address: &HttpAddress, url: &Url) -> Result<Basic, RemoteError> {
    Ok(credentials::basic(
        settings,
        &HttpAddress {
            url: url.clone(),
            ..address.clone()
        },
    )?)
}

enum Advertised {
    Redirect(Url),
    Answer(Answer),
}

struct Poll<'a> {
    client: &'a Client,
    basic: Basic,
    branch: &'a str,
}

impl Poll<'_> {
    async fn advertisement(&self, url: &Url) -> Result<Advertised, RemoteError> {
        let asked = below(url, SERVICE);
        let response = self.send(self.client.request(Method::GET, asked.clone())).await?;
        if response.status().is_redirection() {
            return redirect(&asked, &response).map(Advertised::Redirect);
        }
        let answer = self
            .read(response, ADVERTISEMENT, Advertisement::new(self.branch))
            .await?;
        Ok(Advertised::Answer(answer))
    }

    async fn ask_version2(&self, url: &Url) -> Result<ObjectId, RemoteError> {
        match self.ls_refs(url, &format!("{HEADS}{}", self.branch)).await? {
            Answer::Head(head) => Ok(head),
            Answer::Missing(_) | Answer::Version2 => match self.ls_refs(url, HEADS).await? {
                Answer::Head(head) => Ok(head),
                Answer::Missing(branches) => Err(self.missing(branches)),
                Answer::Version2 => Err(self.missing(Vec::new())),
            },
        }
    }

    async fn ls_refs(&self, url: &Url, prefix: &str) -> Result<Answer, RemoteError> {
        let request = self
            .client
            .request(Method::POST, below(url, UPLOAD_PACK))
            .body(ls_refs(prefix));
        let request = request.header(CONTENT_TYPE, REQUEST).header(ACCEPT, RESULT);
        let response = self.send(request).await?;
        self.read(response, RESULT, Advertisement::of_ls_refs(self.branch))
            .await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, RemoteError> {
        let request = request.header(PROTOCOL.0, PROTOCOL.1);
        let request = match &self.basic.login {
            Some((user, password)) => request.basic_auth(user, Some(password.expose())),
            None => request,
        };
        request
            .send()
            .await
            .map_err(|error| RemoteError::Http(error.without_url()))
    }

    async fn read(
        &self,
        mut response: Response,
        expected: &str,
        mut advertisement: Advertisement,
    ) -> Result<Answer, RemoteError> {
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(RemoteError::Unauthorized {
                    offered: self.basic.offered.clone(),
                });
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(RemoteError::NotFound),
            status => {
                return Err(RemoteError::Status {
                    status: status.as_u16(),
                });
            }
        }
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        if content_type != Some(expected) {
            return Err(RemoteError::NotGit {
                content_type: content_type.map(str::to_owned),
            });
        }
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| RemoteError::Http(error.without_url()))?
        {
            advertisement.feed(&chunk)?;
        }
        Ok(advertisement.finish()?)
    }

    fn missing(&self, branches: Vec<String>) -> RemoteError {
        RemoteError::BranchMissing {
            branch: self.branch.to_owned(),
            branches,
        }
    }
}

/// `url` with `suffix`, which may bring a query.
fn below(url: &Url, suffix: &str) -> Url {
    let (path, query) = suffix
        .split_once('?')
        .map_or((suffix, None), |(path, query)| (path, Some(query)));
    let mut below = url.clone();
    below.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
    below.set_query(query);
    below
}

/// The repository's url that a redirect of its `info/refs` means.
fn redirect(asked: &Url, response: &Response) -> Result<Url, RemoteError> {
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    follow(asked, location)
}

/// Judges a redirect: the same host, the same port unless http becomes https, and the same service.
fn follow(asked: &Url, location: &str) -> Result<Url, RemoteError> {
    let refused = |to: &str| RemoteError::Redirect { to: to.to_owned() };
    let mut to = asked
        .join(location)
        .map_err(|_| refused("an unreadable address"))?;
    let origin = to.origin().ascii_serialization();
    let upgraded = asked.scheme() == "http"
        && to.scheme() == "https"
        && asked.port_or_known_default() == Some(80)
        && to.port_or_known_default() == Some(443);
    if asked.host() != to.host() || (asked.origin() != to.origin() && !upgraded) {
        return Err(refused(&origin));
    }
    let service = SERVICE.split('?').next().unwrap_or_default();
    // A login page, most likely.
    let path = to
        .path()
        .strip_suffix(service)
        .ok_or_else(|| refused(&format!("{origin}{}", to.path())))?
        .to_owned();
    to.set_path(&path);
    to.set_query(None);
    to.set_fragment(None);
    // Neither fails on http.
    let _ = to.set_username("");
    let _ = to.set_password(None);
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::{below, follow};
    use crate::source::RemoteError;

    #[test]
    fn only_the_same_host_is_followed() {
        let cases = [
            (
                "http://h/x/info/refs",
                "https://h/x.git/info/refs?service=git-upload-pack",
                Some("https://h/x.git"),
            ),
            (
                "https://h/x/info/refs",
                "/y/info/refs?service=git-upload-pack",
                Some("https://h/y"),
            ),
            (
                "https://h/x/info/refs",
                "https://u:p@h/y/info/refs",
                Some("https://h/y"),
            ),
            ("https://h/x/info/refs", "http://h/x/info/refs", None),
            ("https://h/x/info/refs", "https://evil/x/info/refs", None),
            ("https://h/x/info/refs", "https://h:8443/x/info/refs", None),
            ("http://h:8080/x/info/refs", "https://h/x/info/refs", None),
            ("https://h/x/info/refs", "/login", None),
            ("https://h/x/info/refs", "file:///x/info/refs", None),
            ("https://h/x/info/refs", "https://[", None),
        ];
        for (asked, location, expected) in cases {
            let followed = follow(&asked.parse().unwrap(), location);
            match expected {
                Some(url) => assert_eq!(followed.unwrap().as_str(), url, "{asked} {location}"),
                None => assert!(
                    matches!(followed, Err(RemoteError::Redirect { .. })),
                    "{asked} {location}"
                ),
            }
        }
    }

    #[test]
    fn services_lie_below_the_url() {
        for url in ["https://h/x.git", "https://h/x.git/"] {
            let below = below(&url.parse().unwrap(), super::SERVICE);
            assert_eq!(
                below.as_str(),
                "https://h/x.git/info/refs?service=git-upload-pack"
            );
        }
    }
}
