//! Which of the known names a mistyped one probably meant. It owns the measure; the sentence around it
//! belongs to the error that uses it.

use strsim::damerau_levenshtein;

/// The known names that `wanted` may have meant, closest first (edit distance with transpositions, letter
/// case ignored), equal distances in alphabetical order. Names further away than half of the longer name
/// are left out, so the answer may be empty. Of a host name with a domain the first label counts as well:
/// `web1.example.org` is closest to `web1`.
#[must_use]
pub fn closest<'a, S: AsRef<str>>(wanted: &str, known: &'a [S]) -> Vec<&'a str> {
    let mut ranked: Vec<(usize, &str)> = known
        .iter()
        .map(AsRef::as_ref)
        .filter_map(|name| distance(wanted, name).map(|distance| (distance, name)))
        .collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.into_iter().map(|(_, name)| name).collect()
}

/// All known names, those that `wanted` may have meant first, the rest in alphabetical order.
#[must_use]
pub fn closest_first<'a, S: AsRef<str>>(wanted: &str, known: &'a [S]) -> Vec<&'a str> {
    let mut names = closest(wanted, known);
    let mut rest: Vec<&str> = known
        .iter()
        .map(AsRef::as_ref)
        .filter(|name| !names.contains(name))
        .collect();
    rest.sort_unstable();
    rest.dedup();
    names.extend(rest);
    names
}

/// The part of an error message that proposes names: empty, or `; did you mean `a` or `b`?`, with at most
/// three names.
#[must_use]
pub fn hint<S: AsRef<str>>(closest: &[S]) -> String {
    let quoted: Vec<String> = closest
        .iter()
        .take(3)
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    if quoted.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", quoted.join(" or "))
    }
}

/// The distance between two names, or nothing where they have too little in common.
fn distance(wanted: &str, known: &str) -> Option<usize> {
    let known = known.to_lowercase();
    let wanted = wanted.to_lowercase();
    let label = wanted.split('.').next().unwrap_or_default();
    [wanted.as_str(), label]
        .into_iter()
        .filter(|spelling| !spelling.is_empty())
        .filter_map(|spelling| {
            let distance = damerau_levenshtein(spelling, &known);
            let longer = spelling.chars().count().max(known.chars().count());
            (distance * 2 <= longer).then_some(distance)
        })
        .min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_name_is_left_out_where_all_are_wanted() {
        let known = ["zinc", "cinabar", "argentum", "zinc"];
        assert_eq!(closest_first("cinnabar", &known), ["cinabar", "argentum", "zinc"]);
    }

    #[test]
    fn the_closest_comes_first() {
        let known = ["cinnabar", "cinnamon", "basalt", "web1", "web2", "db"];
        let cases: &[(&str, &[&str])] = &[
            ("cinabar", &["cinnabar", "cinnamon"]),
            ("Cinnabar", &["cinnabar", "cinnamon"]),
            ("cinnabar.example.org", &["cinnabar", "cinnamon"]),
            ("web3", &["web1", "web2"]),
            ("wbe2", &["web2", "web1"]),
            ("bd", &["db"]),
            ("printer", &[]),
            ("", &[]),
        ];
        for (wanted, expected) in cases {
            assert_eq!(&closest(wanted, &known), expected, "{wanted}");
        }
    }

    #[test]
    fn a_hint_names_three_at_most() {
        assert_eq!(hint::<&str>(&[]), "");
        assert_eq!(hint(&["a"]), "; did you mean `a`?");
        assert_eq!(hint(&["a", "b", "c", "d"]), "; did you mean `a` or `b` or `c`?");
    }

    proptest! {
        #[test]
        fn a_known_name_is_its_own_closest(names in proptest::collection::btree_set("[a-z][a-z0-9-]{0,12}", 1..12), pick: proptest::sample::Index) {
            let names: Vec<String> = names.into_iter().collect();
            let wanted = pick.get(&names);
            prop_assert_eq!(closest(wanted, &names).first().copied(), Some(wanted.as_str()));
        }

        #[test]
        fn one_typing_error_is_found(name in "[a-z]{4,12}", at: proptest::sample::Index) {
            let at = at.index(name.len());
            let mistyped: String = name.char_indices().filter(|(i, _)| *i != at).map(|(_, c)| c).collect();
            let known = [name];
            prop_assert_eq!(closest(&mistyped, &known), vec![known[0].as_str()]);
        }
    }
}
