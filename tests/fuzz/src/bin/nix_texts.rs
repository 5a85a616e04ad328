//! Texts of the wire: what is accepted is written back as it was, and what is shown to people is harmless.
#![no_main]

use nix_daemon_client::{DerivedPath, HashPart, NarHash, StorePath, Text};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let plain = Text::from(bytes.to_vec()).plain();
    assert!(plain.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n')));
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(path) = StorePath::from_absolute(text) {
        assert_eq!(path.as_str(), text);
        assert_eq!(format!("{}/{}", path.store_dir(), path.base_name()), text);
        assert_eq!(format!("{}-{}", path.hash_part(), path.name()), path.base_name());
        assert!(HashPart::parse(path.hash_part()).is_ok());
        assert_eq!(
            StorePath::from_base_name(path.store_dir(), path.base_name()),
            Ok(path)
        );
    }
    if let Ok(target) = DerivedPath::parse(text) {
        assert_eq!(DerivedPath::parse(&target.to_string()), Ok(target));
    }
    if let Ok(hash) = NarHash::parse_base16(text) {
        assert_eq!(NarHash::parse_base16(&hash.to_base16()), Ok(hash));
    }
});
