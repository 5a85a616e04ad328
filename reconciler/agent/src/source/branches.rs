//! Which of the branches that exist was probably meant.

/// How many names a message lists.
pub(super) const SHOWN: usize = 5;
/// How many names are looked at: a server decides how many there are.
pub(super) const LOOKED_AT: usize = 4096;
/// The folder of branches.
pub(super) const HEADS: &str = "refs/heads/";

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
    use super::closest;

    #[test]
    fn the_nearest_name_comes_first() {
        let names = ["production", "master", "mian", "dev", "a", "b", "c"].map(str::to_owned);
        let found = closest("main", names);
        assert_eq!(found.first().map(String::as_str), Some("mian"));
        assert_eq!(found.len(), 5);
    }
}
