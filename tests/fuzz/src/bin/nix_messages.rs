//! What a daemon says while it works: decoded, and folded into a `Progress`, which stays small whatever comes.
#![no_main]

use nix_daemon_client::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let progress = fuzzing::messages(bytes).expect("it ends, well or not");
    let _ = (
        progress.builds(),
        progress.copies(),
        progress.downloads(),
        progress.unpacked(),
    );
    for build in progress.running() {
        for character in build.last_line().unwrap_or_default().chars() {
            assert!(!character.is_control() || character == '\t');
        }
    }
});
