//! The child's side of an exchange with a server: libgit2's callbacks, the fetch, and the list of refs.
//!
//! Runs in the transport child only. Tries each credential once; never accepts a host key or a certificate that
//! libgit2 does not accept by itself.

use std::{
    cell::{Cell, RefCell},
    io,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use camino::Utf8Path;
use git2::{
    AutotagOption, CertificateCheckStatus, Cred, CredentialType, Direction, Error, ErrorClass, ErrorCode,
    FetchOptions, FetchPrune, Oid, ProxyOptions, Remote, RemoteCallbacks, RemoteRedirect, Repository,
};

use super::{
    branches::{self, HEADS},
    classify::classify,
    failure::LibgitError,
    mirror::TRACKING,
    progress::FetchProgress,
    protocol::{Agent, Event, Failure, Login, Operation, Request},
};

/// How often progress is told; far below any stall timeout.
pub(super) const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Where events go; an error means that nobody listens any more.
pub(super) type Emit<'a> = dyn Fn(&Event) -> io::Result<()> + 'a;

/// Does what `request` says.
pub(super) fn serve(request: &Request, emit: &Emit<'_>) -> Result<Oid, Failure> {
    let host_key = RefCell::new(None);
    let outcome = match &request.operation {
        Operation::List => list(request, emit, &host_key),
        Operation::Fetch { mirror, notes } => fetch(request, mirror, notes.as_deref(), emit, &host_key),
    };
    outcome.map_err(|failure| match (failure, host_key.take()) {
        (Failure::Certificate(_), Some(failure)) => failure,
        (failure, _) => failure,
    })
}

fn list(request: &Request, emit: &Emit<'_>, host_key: &RefCell<Option<Failure>>) -> Result<Oid, Failure> {
    let fail = |error: Error| classify(&error);
    let mut remote = Remote::create_detached(request.url.as_str()).map_err(fail)?;
    let connection = remote
        .connect_auth(
            Direction::Fetch,
            Some(callbacks(request, emit, host_key)),
            Some(proxy()),
        )
        .map_err(fail)?;
    head_of(connection.list().map_err(fail)?, &request.branch)
}

fn fetch(
    request: &Request,
    mirror: &Utf8Path,
    notes: Option<&str>,
    emit: &Emit<'_>,
    host_key: &RefCell<Option<Failure>>,
) -> Result<Oid, Failure> {
    let broken = |error: Error| Failure::Mirror(LibgitError::from(&error));
    let fail = |error: Error| classify(&error);
    let branch = &request.branch;
    let repository = Repository::open_bare(mirror).map_err(broken)?;
    make_way(&repository, branch).map_err(broken)?;
    let mut remote = repository.remote_anonymous(&request.url).map_err(fail)?;
    let mut options = FetchOptions::new();
    options
        .remote_callbacks(callbacks(request, emit, host_key))
        .proxy_options(proxy())
        .prune(FetchPrune::Off)
        .download_tags(AutotagOption::None)
        .update_fetchhead(false)
        // Redirects were followed, and judged, by the poll.
        .follow_redirects(RemoteRedirect::None);
    let mut refspecs = vec![format!("+{HEADS}{branch}:{TRACKING}{branch}")];
    // One that matches nothing is no error.
    refspecs.extend(notes.map(|notes| format!("+{notes}:{notes}")));
    remote.fetch(&refspecs, Some(&mut options), None).map_err(fail)?;
    let head = head_of(remote.list().map_err(fail)?, branch)?;
    repository
        .find_commit(head)
        .and_then(|commit| commit.tree())
        .map_err(broken)?;
    Ok(head)
}

/// A branch `a` leaves a file where a branch `a/b` needs a folder, and the other way round.
fn make_way(repository: &Repository, branch: &str) -> Result<(), Error> {
    for reference in repository.references_glob(&format!("{TRACKING}*"))? {
        let mut reference = reference?;
        let in_the_way = reference
            .name()
            .ok()
            .and_then(|name| name.strip_prefix(TRACKING))
            .is_some_and(|other| {
                other
                    .strip_prefix(branch)
                    .is_some_and(|rest| rest.starts_with('/'))
                    || branch
                        .strip_prefix(other)
                        .is_some_and(|rest| rest.starts_with('/'))
            });
        if in_the_way {
            reference.delete()?;
        }
    }
    Ok(())
}

fn head_of(heads: &[git2::RemoteHead<'_>], branch: &str) -> Result<Oid, Failure> {
    let names = || {
        heads
            .iter()
            .filter_map(|head| head.name().strip_prefix(HEADS).map(|name| (name, head.oid())))
    };
    names()
        .find(|(name, _)| *name == branch)
        .map(|(_, oid)| oid)
        .ok_or_else(|| Failure::BranchMissing {
            branches: branches::closest(branch, names().map(|(name, _)| name.to_owned())),
        })
}

fn proxy() -> ProxyOptions<'static> {
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    proxy
}

fn callbacks<'a>(
    request: &'a Request,
    emit: &'a Emit<'a>,
    host_key: &'a RefCell<Option<Failure>>,
) -> RemoteCallbacks<'a> {
    let mut callbacks = RemoteCallbacks::new();
    let tried = Cell::new(0);
    callbacks.credentials(move |_, _, allowed| credential(&request.login, allowed, &tried));
    callbacks.certificate_check(move |certificate, _| {
        if let Some(key) = certificate.as_hostkey() {
            host_key.replace(key.hash_sha256().map(|hash| {
                Failure::HostKey {
                    algorithm: key
                        .hostkey_type()
                        .map_or("unknown", |kind| kind.name())
                        .to_owned(),
                    fingerprint: format!("SHA256:{}", STANDARD_NO_PAD.encode(hash)),
                }
            }));
        }
        Ok(CertificateCheckStatus::CertificatePassthrough)
    });
    let mut last: Option<Instant> = None;
    let mut alive_last: Option<Instant> = None;
    callbacks.transfer_progress(move |stats| {
        let done = stats.indexed_objects() == stats.total_objects();
        if !done && last.is_some_and(|last| last.elapsed() < PROGRESS_EVERY) {
            return true;
        }
        last = Some(Instant::now());
        emit(&Event::Progress(FetchProgress {
            received_objects: count(stats.received_objects()),
            total_objects: count(stats.total_objects()),
            indexed_objects: count(stats.indexed_objects()),
            received_bytes: count(stats.received_bytes()),
        }))
        .is_ok()
    });
    callbacks.sideband_progress(move |_| {
        if alive_last.is_some_and(|last| last.elapsed() < PROGRESS_EVERY) {
            return true;
        }
        alive_last = Some(Instant::now());
        emit(&Event::Alive).is_ok()
    });
    callbacks
}

/// The next credential that was not tried.
fn credential(login: &Login, allowed: CredentialType, tried: &Cell<usize>) -> Result<Cred, Error> {
    let exhausted = || {
        Error::new(
            ErrorCode::Auth,
            ErrorClass::Callback,
            "the server accepts none of the credentials",
        )
    };
    if allowed.contains(CredentialType::USERNAME)
        && let Login::Ssh { user, .. } = login
    {
        return Cred::username(user);
    }
    let turn = tried.replace(tried.get() + 1);
    match login {
        Login::Password { user, password }
            if turn == 0 && allowed.contains(CredentialType::USER_PASS_PLAINTEXT) =>
        {
            Cred::userpass_plaintext(user, password.expose())
        }
        Login::Ssh {
            user, keys, agent, ..
        } if allowed.contains(CredentialType::SSH_KEY) => match (keys.get(turn), agent) {
            (Some(key), _) => Cred::ssh_key(user, None, key.as_std_path(), None),
            (None, Agent::Running) if turn == keys.len() => Cred::ssh_key_from_agent(user),
            _ => Err(exhausted()),
        },
        Login::None | Login::Password { .. } | Login::Ssh { .. } => Err(exhausted()),
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
