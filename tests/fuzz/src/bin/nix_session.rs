//! A whole conversation, from the greeting on. The input is what the daemon says, in turns: two bytes of length,
//! little endian, and as many bytes, which it says once it was asked.
#![no_main]

use nix_daemon_client::fuzzing::{self, SessionEnd};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut turns = Vec::new();
    let mut rest = bytes;
    while let [low, high, after @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (turn, after) = after.split_at(length);
        turns.push(turn.to_vec());
        rest = after;
    }
    assert_ne!(fuzzing::session(turns), SessionEnd::Hang);
});
