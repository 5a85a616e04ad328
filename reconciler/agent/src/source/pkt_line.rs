//! git's pkt-line framing, over bytes that arrive in any pieces.
//!
//! Format: `gitprotocol-common(5)`. Four hex digits give the length including themselves; `0000` flushes,
//! `0001` delimits, `0002` ends a response. Holds at most one packet; never panics on what a server sends.

/// The longest packet, header included (`gitprotocol-common(5)`, "pkt-line Format").
const LONGEST: usize = 65520;
const HEADER: usize = 4;

/// One unit of the framing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    Data(&'a [u8]),
    Flush,
    Delimiter,
    ResponseEnd,
}

/// Why bytes are not pkt-lines.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PktLineError {
    /// The length is not four hex digits, or none that the format allows.
    #[error("a packet's length is {header:?}")]
    Length {
        /// The four bytes, as text.
        header: String,
    },
}

/// The decoder: feed it what arrives.
#[derive(Debug, Default)]
pub(super) struct PktLines {
    /// The start of a packet that has not arrived whole.
    partial: Vec<u8>,
}

impl PktLines {
    /// Gives every packet that `chunk` completes to `each`.
    pub(super) fn feed<E: From<PktLineError>>(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(Packet<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = chunk;
        while !self.partial.is_empty() {
            let needed = match header(&self.partial)? {
                Some(length) => length.max(HEADER),
                None => HEADER,
            };
            let missing = needed.saturating_sub(self.partial.len());
            let Some((taken, after)) = rest.split_at_checked(missing) else {
                self.partial.extend_from_slice(rest);
                return Ok(());
            };
            self.partial.extend_from_slice(taken);
            rest = after;
            if let Some((packet, _)) = packet(&self.partial)? {
                each(packet)?;
                self.partial.clear();
            }
        }
        while let Some((found, after)) = packet(rest)? {
            each(found)?;
            rest = after;
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// Whether the bytes so far end between two packets.
    pub(super) fn is_between_packets(&self) -> bool {
        self.partial.is_empty()
    }
}

/// The length a packet announces, once its four digits are there.
fn header(bytes: &[u8]) -> Result<Option<usize>, PktLineError> {
    let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let bad = || PktLineError::Length {
        header: String::from_utf8_lossy(header).into_owned(),
    };
    let mut length = 0;
    for digit in header {
        let digit = char::from(*digit).to_digit(16).ok_or_else(bad)?;
        length = length * 16 + usize::try_from(digit).map_err(|_| bad())?;
    }
    if length == 3 || length > LONGEST {
        return Err(bad());
    }
    Ok(Some(length))
}

/// The first packet of `bytes` and what follows it; `None` if it is not whole.
fn packet(bytes: &[u8]) -> Result<Option<(Packet<'_>, &[u8])>, PktLineError> {
    let Some(length) = header(bytes)? else {
        return Ok(None);
    };
    let Some((packet, rest)) = bytes.split_at_checked(length.max(HEADER)) else {
        return Ok(None);
    };
    Ok(Some((
        match length {
            0 => Packet::Flush,
            1 => Packet::Delimiter,
            2 => Packet::ResponseEnd,
            _ => Packet::Data(packet.get(HEADER..).unwrap_or_default()),
        },
        rest,
    )))
}

/// `text` as one packet.
pub(super) fn encode(text: &str) -> String {
    format!("{:04x}{text}", text.len() + HEADER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PktLineError, PktLines, encode};

    fn decode(chunks: &[&[u8]]) -> Result<Vec<String>, PktLineError> {
        let mut lines = PktLines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.feed::<PktLineError>(chunk, |packet| {
                found.push(format!("{packet:?}"));
                Ok(())
            })?;
        }
        Ok(found)
    }

    #[test]
    fn lengths_outside_the_format_are_refused() {
        for header in ["0003", "fff1", "ffff", "zzzz", "-001", " 001"] {
            assert_eq!(
                decode(&[header.as_bytes()]),
                Err(PktLineError::Length {
                    header: header.into()
                }),
                "{header}"
            );
        }
    }

    #[test]
    fn what_encode_writes_is_read() {
        assert_eq!(decode(&[encode("a\n").as_bytes()]).unwrap(), ["Data([97, 10])"]);
        assert_eq!(
            decode(&[b"000000010002", b"0004"]).unwrap(),
            ["Flush", "Delimiter", "ResponseEnd", "Data([])"]
        );
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            texts in prop::collection::vec("[a-z]{0,40}", 0..8),
            cuts in prop::collection::vec(1_usize..9, 0..200),
        ) {
            let whole = texts.iter().map(|text| encode(text)).collect::<String>() + "0000";
            let mut chunks = Vec::new();
            let mut rest = whole.as_bytes();
            for cut in cuts {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            chunks.push(rest);
            prop_assert_eq!(decode(&chunks), decode(&[whole.as_bytes()]));
        }

        #[test]
        fn hostile_bytes_never_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..16)) {
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let _ = decode(&chunks);
        }
    }
}
