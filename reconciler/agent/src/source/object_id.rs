//! The name of a commit as a remote says it: twenty bytes, without libgit2.
//!
//! The agent polls for months and fetches now and then, in other processes: what it polls with must not bring
//! libgit2 and its TLS library into its memory.

use std::fmt;
use std::str::FromStr;

use git2::Oid;

/// A SHA-1 object id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId([u8; 20]);

/// A text that is no object id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an object id has 40 hexadecimal digits")]
pub struct InvalidObjectId;

impl ObjectId {
    /// As libgit2 has it.
    pub fn oid(self) -> Oid {
        // Fails for any other length alone.
        Oid::from_bytes(&self.0).unwrap_or(Oid::ZERO_SHA1)
    }
}

impl FromStr for ObjectId {
    type Err = InvalidObjectId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.as_bytes();
        if digits.len() != 40 {
            return Err(InvalidObjectId);
        }
        let mut id = [0; 20];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let value = char::from(*digit).to_digit(16).ok_or(InvalidObjectId)?;
                *byte = (*byte << 4) | u8::try_from(value).map_err(|_| InvalidObjectId)?;
            }
        }
        Ok(Self(id))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl PartialEq<Oid> for ObjectId {
    fn eq(&self, other: &Oid) -> bool {
        self.0 == other.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use git2::Oid;

    use super::ObjectId;

    #[test]
    fn it_is_what_libgit2_reads() {
        let text = "3f2a91c0deadbeef00112233445566778899aabb";
        let id: ObjectId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(id, text.parse::<Oid>().unwrap());
        assert_eq!(id.oid(), text.parse::<Oid>().unwrap());
        for wrong in [
            "",
            "3f2a91c0",
            &text.replace('3', "g"),
            &format!("{text}0"),
            &"é".repeat(20),
        ] {
            assert!(wrong.parse::<ObjectId>().is_err(), "{wrong}");
        }
    }
}
