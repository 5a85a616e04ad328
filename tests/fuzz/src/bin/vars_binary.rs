//! The binary store, and files whose name says nothing. What opens is never called damaged by whoever has no key, unless
//! it is damaged for another reader.
#![no_main]

use reconciler_fuzz::identities;
use reconciler_vars::sops::inspect;
use reconciler_vars::{Format, SopsError, decrypt, decrypt_file, fuzzing};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let binary = decrypt(bytes, Format::Binary, identities());
    let opened = decrypt_file(bytes, identities());
    if let Ok(binary) = &binary {
        // The same bytes, whether the store was known or told.
        assert_eq!(
            binary.lookup(""),
            opened.as_ref().map_err(|_| ()).unwrap().lookup("any")
        );
    }
    if opened.is_ok() {
        match inspect(bytes) {
            Ok(found) => {
                assert!(!found.age.is_empty() || found.anonymous.is_some_and(|stanzas| !stanzas.is_empty()))
            }
            Err(SopsError::DataKey { .. }) => {}
            Err(error) => panic!("it opens, and is called damaged: {error}"),
        }
    }
    if let Ok(sealed) = fuzzing::seal(bytes, Format::Binary, &Default::default(), Default::default()) {
        let opened = fuzzing::open(&sealed, Format::Binary).expect("what was sealed opens");
        assert_eq!(opened.into_bytes().unwrap().as_slice(), bytes);
    }
});
