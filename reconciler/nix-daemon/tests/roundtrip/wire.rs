//! The wire's values, put together and taken apart by hand.

/// Bytes to be sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wire(pub(crate) Vec<u8>);

impl Wire {
    pub(crate) fn n(&mut self, number: impl Into<u64>) -> &mut Wire {
        let number: u64 = number.into();
        self.0.extend(number.to_le_bytes());
        self
    }

    pub(crate) fn s(&mut self, text: impl AsRef<[u8]>) -> &mut Wire {
        let text = text.as_ref();
        self.n(text.len() as u64);
        self.0.extend(text);
        while !self.0.len().is_multiple_of(8) {
            self.0.push(0);
        }
        self
    }

    pub(crate) fn list<T: AsRef<[u8]>>(&mut self, texts: impl IntoIterator<Item = T>) -> &mut Wire {
        let texts: Vec<T> = texts.into_iter().collect();
        self.n(texts.len() as u64);
        for text in texts {
            self.s(text);
        }
        self
    }
}
