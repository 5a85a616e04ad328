//! clan's `key.json`. A key is the same in whatever spelling it stands there, and a file that is made for a key has it.
#![no_main]

use reconciler_vars::ReaderKind;
use reconciler_vars::audit::{PublicKey, parse_key_file};
use reconciler_vars::generators::key_file;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(keys) = parse_key_file(bytes) {
        assert!(!keys.is_empty());
        for key in &keys {
            let again = match key {
                PublicKey::Age(text) => PublicKey::age(text),
                PublicKey::Pgp(text) => PublicKey::pgp(text),
            };
            assert_eq!(&again, key);
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok((recipient, file)) = key_file(ReaderKind::Machine, text)
    {
        let keys = parse_key_file(&file).expect("a key file that was made");
        assert_eq!(keys, [PublicKey::age(&recipient.to_string())]);
    }
});
