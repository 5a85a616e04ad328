//! The binary store, and files whose name says nothing. What opens is never called damaged by whoever has no key.
#![no_main]

use reconciler_fuzz::identities;
use reconciler_vars::sops::inspect;
use reconciler_vars::{Format, decrypt, decrypt_file, fuzzing};

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
        let inspection = inspect(bytes).expect("what opens has the form of what opens");
        assert!(!inspection.age.is_empty() || inspection.anonymous > Some(0));
    }
    if let Ok(sealed) = fuzzing::seal(bytes, Format::Binary, &Default::default(), Default::default()) {
        let opened = fuzzing::open(&sealed, Format::Binary).expect("what was sealed opens");
        assert_eq!(opened.into_bytes().unwrap().as_slice(), bytes);
    }
});
