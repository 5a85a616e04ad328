//! Owns the forms in which Go writes floating-point numbers. It must never lose a digit.

use zeroize::Zeroizing;

/// `FormatFloat(x, 'f', -1, 64)`, under which sops hashes and seals a number.
pub(super) fn plain(number: f64) -> Zeroizing<String> {
    Zeroizing::new(if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        // Rust's shortest form without an exponent is the same.
        number.to_string()
    })
}

/// What encoding/json writes: an exponent below 1e-6 and from 1e21 on. The number is finite.
pub(super) fn json(number: f64) -> Zeroizing<String> {
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return Zeroizing::new(number.to_string());
    }
    let text = Zeroizing::new(format!("{number:e}"));
    Zeroizing::new(if size >= 1.0 {
        text.replace('e', "e+")
    } else {
        text.to_string()
    })
}

/// `FormatFloat(x, 'g', -1, 64)`, which go-yaml writes: an exponent of at least two digits, below 1e-4 and from
/// 1e6 on.
pub(super) fn general(number: f64) -> Zeroizing<String> {
    let size = number.abs();
    if size == 0.0 || !number.is_finite() || (1e-4..1e6).contains(&size) {
        return plain(number);
    }
    let text = Zeroizing::new(format!("{number:e}"));
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    Zeroizing::new(format!("{digits}e{sign}{exponent:0>2}"))
}

/// The number that Go's `ParseFloat` reads of what sops sealed; `None` where it reads none.
pub(super) fn parse(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}

#[cfg(test)]
mod tests {
    use super::{general, json, parse, plain};

    #[test]
    fn as_go_writes_them() {
        for (number, as_plain, as_json, as_general) in [
            (0.0, "0", "0", "0"),
            (12.5, "12.5", "12.5", "12.5"),
            (0.000_01, "0.00001", "0.00001", "1e-05"),
            (1e-9, "0.000000001", "1e-9", "1e-09"),
            (123_456.5, "123456.5", "123456.5", "123456.5"),
            (1e20, "100000000000000000000", "100000000000000000000", "1e+20"),
            (1.5e21, "1500000000000000000000", "1.5e+21", "1.5e+21"),
            (-1e100, &format!("-1{}", "0".repeat(100)), "-1e+100", "-1e+100"),
        ] {
            assert_eq!(*plain(number), as_plain);
            assert_eq!(*json(number), as_json);
            assert_eq!(*general(number), as_general);
            assert_eq!(parse(as_plain), Some(number));
        }
        for (number, text) in [(f64::INFINITY, "+Inf"), (f64::NEG_INFINITY, "-Inf")] {
            assert_eq!(*plain(number), text);
            assert_eq!(parse(text), Some(number));
        }
        assert!(parse("NaN").is_some_and(f64::is_nan) && *plain(f64::NAN) == "NaN");
        assert_eq!(parse("1e999"), None);
        assert_eq!(parse("infinity"), None);
        assert_eq!(parse(""), None);
    }
}
