//! From what a person types to a commit of the mirror.

use git2::{ErrorCode, ObjectType, Oid};

use super::{mirror::Mirror, mirror_error::MirrorError};

/// Fewer digits are no abbreviation to git.
const SHORTEST: usize = 4;

impl Mirror {
    /// Finds the commit that a person named: an id or its first digits, the branch, or git's `~` and `^`.
    ///
    /// # Errors
    /// [`MirrorError::Ambiguous`] if the digits fit several commits, [`MirrorError::Unknown`] if nothing fits.
    pub fn resolve(&self, name: &str) -> Result<Oid, MirrorError> {
        let lookup = |source| MirrorError::Lookup {
            name: name.to_owned(),
            source,
        };
        let tracking = format!("fleet/{name}");
        for candidate in [name, tracking.as_str()] {
            match self
                .repository
                .revparse_single(candidate)
                .and_then(|object| object.peel_to_commit())
            {
                Ok(commit) => return Ok(commit.id()),
                Err(error) if error.code() == ErrorCode::Ambiguous => return self.resolve_digits(name),
                Err(error) if is_no_such_commit(&error) => {}
                Err(error) => return Err(lookup(error)),
            }
        }
        Err(MirrorError::Unknown {
            name: name.to_owned(),
        })
    }

    /// Several objects fit; git takes the only commit among them.
    fn resolve_digits(&self, name: &str) -> Result<Oid, MirrorError> {
        let lookup = |source| MirrorError::Lookup {
            name: name.to_owned(),
            source,
        };
        let digits: String = name.chars().take_while(char::is_ascii_hexdigit).collect();
        let suffix = name.get(digits.len()..).unwrap_or_default();
        let digits = digits.to_ascii_lowercase();
        let odb = self.repository.odb().map_err(lookup)?;
        let mut fitting = Vec::new();
        odb.foreach(|oid| {
            if digits.len() >= SHORTEST && oid.to_string().starts_with(&digits) {
                fitting.push(*oid);
            }
            true
        })
        .map_err(lookup)?;
        fitting.retain(|oid| {
            odb.read_header(*oid)
                .is_ok_and(|(_, kind)| kind == ObjectType::Commit)
        });
        fitting.sort();
        fitting.dedup();
        match fitting.as_slice() {
            [] => Err(MirrorError::Unknown {
                name: name.to_owned(),
            }),
            [only] => {
                let found = self.repository.revparse_single(&format!("{only}{suffix}"));
                found
                    .and_then(|object| object.peel_to_commit())
                    .map(|commit| commit.id())
                    .map_err(lookup)
            }
            _ => Err(MirrorError::Ambiguous {
                name: name.to_owned(),
                candidates: fitting,
            }),
        }
    }
}

fn is_no_such_commit(error: &git2::Error) -> bool {
    matches!(
        error.code(),
        ErrorCode::NotFound | ErrorCode::InvalidSpec | ErrorCode::Peel
    )
}
