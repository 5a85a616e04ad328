//! Owns the wrapper for values that no output may show. It must never print, compare or clone what
//! it holds.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A value that `Debug` and `Display` show as `[redacted]` and that is overwritten when dropped.
pub struct Redacted<T: Zeroize>(T);

impl<T: Zeroize> Redacted<T> {
    /// Takes the value in.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself; the caller keeps it out of every output.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> From<T> for Redacted<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Zeroize> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T: Zeroize> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T: Zeroize> Drop for Redacted<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> ZeroizeOnDrop for Redacted<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_output_shows_the_value() {
        let value = Redacted::new(String::from("hunter2"));
        assert_eq!(
            format!("{value} {value:?} {value:#?}"),
            "[redacted] [redacted] [redacted]"
        );
        assert_eq!(value.expose(), "hunter2");
    }
}
