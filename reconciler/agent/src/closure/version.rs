//! The order of versions, as `builtins.compareVersions` has it (Nix, `src/libstore/names.cc`). Pure.

use std::cmp::Ordering;

/// Compares two versions, component by component.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (Components(a), Components(b));
    loop {
        let (left, right) = (a.next(), b.next());
        if left.is_none() && right.is_none() {
            return Ordering::Equal;
        }
        let (left, right) = (left.unwrap_or_default(), right.unwrap_or_default());
        if less(left, right) {
            return Ordering::Less;
        }
        if less(right, left) {
            return Ordering::Greater;
        }
    }
}

/// Runs of digits and runs of anything else; dots and dashes only separate.
struct Components<'a>(&'a str);

impl<'a> Iterator for Components<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start_matches(['.', '-']);
        let first = rest.chars().next()?;
        let end = rest
            .find(|c: char| c.is_ascii_digit() != first.is_ascii_digit() || c == '.' || c == '-')
            .unwrap_or(rest.len());
        let (component, rest) = rest.split_at_checked(end)?;
        self.0 = rest;
        Some(component)
    }
}

/// `"" < number`, `pre` before everything, words before numbers (`2.3a` before `2.3.1`), else by their kind.
fn less(a: &str, b: &str) -> bool {
    let number = |text: &str| {
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.trim_start_matches('0').to_owned())
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => (a.len(), a) < (b.len(), b),
        (None, Some(_)) if a.is_empty() => true,
        _ if a == "pre" && b != "pre" => true,
        _ if b == "pre" => false,
        (None, Some(_)) => true,
        (Some(_), None) => false,
        (None, None) => a < b,
    }
}

#[cfg(test)]
mod tests {
    use super::compare;
    use std::cmp::Ordering::{Equal, Greater, Less};

    // What `nix eval --expr 'builtins.compareVersions …'` says of each.
    #[test]
    fn as_nix_compares() {
        let table = [
            ("1.0", "2.3", Less),
            ("2.1", "2.3", Less),
            ("2.3", "2.3", Equal),
            ("2.5", "2.3", Greater),
            ("3.1", "2.3", Greater),
            ("2.3.1", "2.3", Greater),
            ("2.3.1", "2.3a", Greater),
            ("2.3pre1", "2.3", Less),
            ("2.3pre3", "2.3pre12", Less),
            ("2.3a", "2.3c", Less),
            ("2.3pre1", "2.3c", Less),
            ("2.3pre1", "2.3q", Less),
            ("1.14.2", "1.16.0", Less),
            ("9", "10", Less),
            ("0.9", "0.10", Less),
            ("007", "7", Equal),
            ("1.2-rc1", "1.2", Greater),
            ("", "1", Less),
            ("99999999999999999999999", "100000000000000000000000", Less),
        ];
        for (a, b, order) in table {
            assert_eq!(compare(a, b), order, "{a} {b}");
            assert_eq!(compare(b, a), order.reverse(), "{b} {a}");
        }
    }
}
