//! Owns where a name of the manifest lies below a generation's folder. It must never lead out of it.

use std::path::{Component, Path};

/// Folder of a generation that holds the rendered templates (sops-nix, `RenderedSubdir`).
pub(super) const RENDERED: &str = "rendered";

/// A name that is no path below the secrets' folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its name is no path below the secrets' folder")]
pub struct InvalidPlace;

/// The path below a generation's folder: components between single slashes, as Go's `filepath.Join` leaves them.
pub(super) fn place(name: &str) -> Result<String, InvalidPlace> {
    let mut parts = Vec::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str().ok_or(InvalidPlace)?),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(InvalidPlace),
        }
    }
    if parts.is_empty() || name.contains('\0') {
        return Err(InvalidPlace);
    }
    Ok(parts.join("/"))
}

/// [`place`] of a template.
pub(super) fn rendered(name: &str) -> Result<String, InvalidPlace> {
    place(name).map(|place| format!("{RENDERED}/{place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_folder() {
        for (name, expected) in [
            ("a", Some("a")),
            ("a//b/./c/", Some("a/b/c")),
            ("/a", Some("a")),
            ("..a", Some("..a")),
            ("", None),
            ("/", None),
            ("..", None),
            ("a/../../b", None),
            ("a\0b", None),
        ] {
            assert_eq!(place(name).ok().as_deref(), expected, "{name:?}");
        }
        assert_eq!(rendered("x/y").unwrap(), "rendered/x/y");
    }
}
