//! An archive as it comes off the wire: what is taken for one is handed on as it was, and not a byte after it. As it
//! goes onto the wire: what is sent as one would be taken for one, whatever pieces it is looked at in.
#![no_main]

use nix_daemon_client::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let copied = fuzzing::archive(bytes);
    if let Some(copied) = &copied {
        assert!(bytes.starts_with(copied));
        assert_eq!(copied.len() % 8, 0);
    }
    let sent = fuzzing::is_archive(bytes, u8::MAX);
    assert_eq!(sent, fuzzing::is_archive(bytes, 1));
    if sent {
        assert_eq!(copied.as_deref(), Some(bytes));
    }
});
