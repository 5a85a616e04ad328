//! Owns where a text is written to: first its length is found, then it is written into a buffer of that length, so
//! that no growing buffer leaves copies of a plaintext behind.

use zeroize::Zeroizing;

/// Takes bytes.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

struct Length(usize);

impl Sink for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

/// What writes a text into any sink, the same each time.
pub(super) trait Text {
    type Error;

    fn write(&self, sink: &mut impl Sink) -> Result<(), Self::Error>;
}

/// The text, in one buffer of its length.
pub(super) fn collect<T: Text>(text: &T) -> Result<Zeroizing<Vec<u8>>, T::Error> {
    let mut length = Length(0);
    text.write(&mut length)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
    text.write(&mut *bytes)?;
    Ok(bytes)
}
