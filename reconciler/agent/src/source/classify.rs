//! Reads libgit2's failures: what was the matter, as far as its class, code and words tell. Pure.

use git2::{Error, ErrorClass, ErrorCode};

use super::{failure::LibgitError, protocol::Failure};

/// What servers and git itself say over ssh where no repository is.
const NO_REPOSITORY: [&str; 5] = [
    "repository not found",
    "does not appear to be a git repository",
    "could not be found",
    "does not exist",
    // Of a path that is not there; other protocols never get this far.
    "unsupported url protocol",
];

/// Sorts one failure of an exchange with a server.
pub(super) fn classify(error: &Error) -> Failure {
    let detail = || LibgitError::from(error);
    let message = error.message().to_ascii_lowercase();
    if let Some(status) = status(&message) {
        return match status {
            401 | 403 => Failure::Unauthorized,
            404 | 410 => Failure::NotFound,
            status => Failure::Status { status },
        };
    }
    match (error.class(), error.code()) {
        (_, ErrorCode::Auth) => Failure::Unauthorized,
        (_, ErrorCode::Certificate) | (ErrorClass::Ssl, _) => Failure::Certificate(detail()),
        (_, ErrorCode::Locked) => Failure::Busy,
        (ErrorClass::Repository, ErrorCode::NotFound) => Failure::NotFound,
        _ if NO_REPOSITORY.iter().any(|words| message.contains(words)) => Failure::NotFound,
        (ErrorClass::Http, _) if message.contains("content-type") => Failure::NotGit,
        (ErrorClass::Net | ErrorClass::Http, _) if message.contains("redirect") => Failure::Redirect {
            to: error
                .message()
                .rsplit('\'')
                .nth(1)
                .unwrap_or("another place")
                .to_owned(),
        },
        (ErrorClass::Net | ErrorClass::Os, _) => Failure::Connect(detail()),
        (ErrorClass::Odb | ErrorClass::Indexer | ErrorClass::Zlib | ErrorClass::Filesystem, _) => {
            Failure::Mirror(detail())
        }
        _ => Failure::Git(detail()),
    }
}

/// "unexpected http status code: 403".
fn status(message: &str) -> Option<u16> {
    message
        .split_once("http status code: ")?
        .1
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use git2::{Error, ErrorClass, ErrorCode};

    use super::{Failure, classify};

    #[test]
    fn libgit2s_words_are_sorted() {
        let none = ErrorCode::GenericError;
        for (code, class, message, expected) in [
            (
                none,
                ErrorClass::Http,
                "unexpected http status code: 403",
                Failure::Unauthorized,
            ),
            (
                none,
                ErrorClass::Http,
                "unexpected http status code: 404",
                Failure::NotFound,
            ),
            (
                none,
                ErrorClass::Http,
                "unexpected http status code: 503",
                Failure::Status { status: 503 },
            ),
            (
                ErrorCode::Auth,
                ErrorClass::Http,
                "too many redirects or authentication replays",
                Failure::Unauthorized,
            ),
            (
                none,
                ErrorClass::Http,
                "invalid content-type: 'text/html'",
                Failure::NotGit,
            ),
            (
                none,
                ErrorClass::Net,
                "cannot redirect from 'a.example' to 'b.example'",
                Failure::Redirect {
                    to: "b.example".into(),
                },
            ),
            (
                ErrorCode::Eof,
                ErrorClass::Ssh,
                "ERROR: Repository not found.",
                Failure::NotFound,
            ),
            (
                ErrorCode::Locked,
                ErrorClass::Os,
                "failed to lock file",
                Failure::Busy,
            ),
        ] {
            assert_eq!(classify(&Error::new(code, class, message)), expected, "{message}");
        }
        let refused = Error::new(none, ErrorClass::Os, "failed to connect to h: Connection refused");
        assert!(matches!(classify(&refused), Failure::Connect(_)));
    }
}
