//! An archive as it comes off the wire: what is taken for one is handed on as it was, and not a byte after it.
#![no_main]

use nix_daemon_client::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(copied) = fuzzing::archive(bytes) {
        assert!(bytes.starts_with(&copied));
        assert_eq!(copied.len() % 8, 0);
    }
});
