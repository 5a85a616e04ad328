//! Which of the branches that exist was probably meant.

/// How many names a message lists.
pub(super) const SHOWN: usize = 5;
/// How many names are looked at: a server decides how many there are.
pub(super) const LOOKED_AT: usize = 4096;
/// The folder of branches.
pub(super) const HEADS: &str = "refs/heads/";

/// Whether git takes `name` for a branch: the rules of git-check-ref-format(1).
pub(super) fn is_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    !name.starts_with('-')
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(forbidden)
        && name.split('/').all(part)
}

/// The names nearest to `wanted`, at most [`SHOWN`].
pub(super) fn closest(wanted: &str, names: impl IntoIterator<Item = String>) -> Vec<String> {
    let names: Vec<String> = names.into_iter().take(LOOKED_AT).collect();
    reconciler_inventory::closest_first(wanted, &names)
        .into_iter()
        .take(SHOWN)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{closest, is_name};

    #[test]
    fn names_are_those_that_git_takes() {
        let good = ["main", "release/26.05", "a@b", "ünïcode", "a.b", "HEAD2"];
        let bad = [
            "", "-x", "a b", "a..b", "a@{b", "a/", "/a", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.",
            "a~", "a^", "a:b", "a?", "a*", "a[", "a\\b", "a\u{7f}",
        ];
        for (names, expected) in [(good.as_slice(), true), (bad.as_slice(), false)] {
            for name in names {
                assert_eq!(is_name(name), expected, "{name:?}");
                assert_eq!(
                    git2::Branch::name_is_valid(name).unwrap(),
                    expected,
                    "git: {name:?}"
                );
            }
        }
    }

    #[test]
    fn the_nearest_name_comes_first() {
        let names = ["production", "master", "mian", "dev", "a", "b", "c"].map(str::to_owned);
        let found = closest("main", names);
        assert_eq!(found.first().map(String::as_str), Some("mian"));
        assert_eq!(found.len(), 5);
    }
}
