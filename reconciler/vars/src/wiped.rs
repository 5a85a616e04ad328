//! Owns bytes that come piece by piece and may be a secret: the memory that they outgrow is overwritten before it is given
//! back. It must never show them.

use std::fmt;
use std::io::{self, Read};
use std::ops::Deref;

use zeroize::Zeroizing;

/// Bytes that grow. A `Zeroizing<Vec<u8>>` that grows leaves its content in every place that it outgrew.
#[derive(Default)]
pub struct Wiped(Zeroizing<Vec<u8>>);

/// The least room that is made, in bytes.
const ROOM: usize = 256;

/// How much is read at once, in bytes.
const PIECE: usize = 16 << 10;

impl Wiped {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds some.
    pub fn extend(&mut self, bytes: &[u8]) {
        let wanted = self.0.len().saturating_add(bytes.len());
        if wanted > self.0.capacity() {
            let room = wanted.max(self.0.capacity().saturating_mul(2)).max(ROOM);
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(&self.0);
            // The old ones are overwritten as they are dropped.
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    /// Adds one.
    pub fn push(&mut self, byte: u8) {
        self.extend(&[byte]);
    }

    /// Forgets them, and keeps the room.
    pub fn clear(&mut self) {
        self.0.fill(0);
        self.0.clear();
    }

    /// All of them.
    #[must_use]
    pub fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// Reads to the end. Who reads from another's hand bounds the reader by [`Read::take`].
    ///
    /// # Errors
    /// The reader's.
    pub fn read(mut reader: impl Read) -> io::Result<Self> {
        let mut piece = Self::piece();
        let mut bytes = Self::new();
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return Ok(bytes),
                Ok(length) => bytes.extend(piece.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Room to read into, which is overwritten, too.
    #[must_use]
    pub fn piece() -> Zeroizing<Vec<u8>> {
        Zeroizing::new(vec![0; PIECE])
    }
}

impl Deref for Wiped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Wiped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wiped({} bytes)", self.0.len())
    }
}

/// Bytes as text, whatever is none replaced (U+FFFD), with no copy besides.
#[must_use]
pub fn lossy(bytes: &[u8]) -> Zeroizing<String> {
    // The replacement takes three bytes, for one at the least.
    let room = bytes
        .utf8_chunks()
        .map(|chunk| chunk.valid().len().saturating_add(3));
    let mut text = Zeroizing::new(String::with_capacity(room.sum()));
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let whole: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut bytes = Wiped::new();
        for piece in whole.chunks(777) {
            bytes.extend(piece);
        }
        assert_eq!(&*bytes, whole);
        assert_eq!(Wiped::read(&whole[..]).unwrap().into_bytes().as_slice(), whole);
        assert_eq!(format!("{bytes:?}"), "Wiped(100000 bytes)");
        bytes.clear();
        assert!(bytes.is_empty());
        bytes.push(7);
        assert_eq!(*bytes, [7]);
    }

    #[test]
    fn what_is_no_text_is_replaced_as_the_standard_library_does_it() {
        for bytes in [
            &b"plain"[..],
            b"",
            b"\xff",
            b"a\xffb\xf0\x9f\x92",
            b"\xf0\x9f\x92\x96\xc0\x80",
        ] {
            let text = lossy(bytes);
            assert_eq!(*text, String::from_utf8_lossy(bytes));
        }
    }

    /// How often the text stands in the writable memory of this process. Neither the text nor a copy of it may be
    /// there for the sake of the search: it is told by its bytes less one.
    #[cfg(target_os = "linux")]
    fn found(less_one: &[u8]) -> usize {
        use std::os::unix::fs::FileExt;
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut buffer = Zeroizing::new(vec![0; 1 << 16]);
        let own = buffer.as_ptr() as u64;
        let mut count = 0;
        for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
            let (from, rest) = line.split_once('-').unwrap();
            let (to, _) = rest.split_once(' ').unwrap();
            let bounds = [from, to].map(|bound| u64::from_str_radix(bound, 16).unwrap());
            let mut at = bounds[0];
            while at < bounds[1] {
                let length = usize::try_from(bounds[1] - at).unwrap().min(buffer.len());
                let overlaps = at < own + buffer.len() as u64 && own < at + length as u64;
                if !overlaps && memory.read_exact_at(&mut buffer[..length], at).is_ok() {
                    let is_it =
                        |window: &[u8]| window.iter().zip(less_one).all(|(here, less)| *here == less + 1);
                    count += buffer[..length]
                        .windows(less_one.len())
                        .filter(|window| is_it(window))
                        .count();
                    buffer.fill(0);
                }
                at += length as u64;
            }
        }
        count
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn nothing_of_what_grew_stays_in_memory() {
        // "grown canary 8f2b;" by its bytes less one.
        let less_one: Vec<u8> = b"fqnvm\x1fb`m`qx\x1f7e1a:".to_vec();
        let mut bytes = Wiped::new();
        for _ in 0..4000 {
            for byte in &less_one {
                bytes.push(byte + 1);
            }
        }
        assert!(bytes.starts_with(b"grown"));
        assert!(found(&less_one) > 3000, "the search finds nothing");
        let mut again = Wiped::read(&*bytes).unwrap();
        again.clear();
        drop(bytes);
        assert_eq!(found(&less_one), 0);
    }
}
