//! The fleet's repository: asking where its branch stands, fetching it into a bare mirror, and reading from
//! the mirror.
//!
//! A poll is one small question over the network; a fetch runs in a child process of this binary, so that a
//! dead network can be killed and its memory returned. Nothing here evaluates, builds or trusts: trust is
//! [`Revision`], which only [`trust`] can make, and nothing here writes outside the mirror and the
//! transport's private home.

mod advertisement;
mod branches;
mod checkout;
mod child;
mod classify;
mod commit;
mod credentials;
mod failure;
mod fleet_url;
mod generations;
mod history;
mod home;
mod http;
mod http_client;
mod known_hosts;
mod leftovers;
mod local;
mod mirror;
mod mirror_error;
mod names;
mod netrc;
mod notes;
mod object_id;
mod packs;
mod pkt_line;
mod progress;
mod protocol;
mod remote;
mod secret;
mod settings;
mod transport;
mod tree;
pub mod trust;
mod upstream;
mod walk;
mod without;

pub use advertisement::AdvertisementError;
pub use checkout::{Checkout, CheckoutError, Moment};
pub use child::NO_CERTIFICATES;
pub use commit::{CommitInfo, CommitSignature};
pub use credentials::{CredentialsError, Offered};
pub use failure::{Failures, HostKey, LibgitError, RemoteError, UrlFailure};
pub use fleet_url::{FleetUrl, FleetUrlError};
pub use git2::Oid;
pub use http_client::HttpClientError;
pub use mirror::Mirror;
pub use mirror_error::MirrorError;
pub use netrc::NetrcError;
pub use object_id::{InvalidObjectId, ObjectId};
pub use pkt_line::PktLineError;
pub use progress::FetchProgress;
pub use secret::Secret;
pub use settings::{HttpsSettings, SourceSettings, SshSettings, Timeouts};
pub use transport::serve_transport;
pub use tree::{Entry, EntryKind, TreeError, TreeView};
pub use trust::{History, Relation, Revision, TrustError};
pub use upstream::{Advertised, FetchError, PollError, Source, SourceError};
pub use walk::{Step, WalkError};
