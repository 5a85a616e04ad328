//! The reply to an operation: the first byte says to which, the second in which version. Whatever comes, the
//! connection is open exactly after a whole reply, or an error that it outlived.
#![no_main]

use nix_daemon_client::fuzzing::{self, Ending};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [operation, minor, reply @ ..] = bytes else {
        return;
    };
    match fuzzing::reply(*operation, 34 + u16::from(*minor % 5), reply) {
        Ending::Reply { open } => assert!(open),
        Ending::Refusal { alive, open } => assert_eq!(alive, open),
        Ending::Failure { open } => assert!(!open),
        Ending::Silence => assert!(*operation >= 128),
    }
});
