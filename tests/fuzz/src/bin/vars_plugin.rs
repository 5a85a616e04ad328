//! What an age plugin answers, when it is to open a file and when it is to seal one. What it seals with is what could stand
//! in a file's header, and nothing it says can move a terminal's cursor.
#![no_main]

use reconciler_vars::fuzzing::{plugin_key, plugin_stanzas};

libfuzzer_sys::fuzz_target!(|said: &[u8]| {
    match plugin_key(said) {
        Ok(Some(_)) => assert!(said.windows(13).any(|words| words == b"-> file-key 0")),
        Ok(None) => {}
        Err(problem) => plain(&problem.to_string()),
    }
    match plugin_stanzas(said) {
        Ok((stanzas, _)) => {
            assert!(!stanzas.is_empty());
            for stanza in stanzas {
                for word in stanza.args.iter().chain([&stanza.tag]) {
                    assert!(!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic()));
                }
            }
        }
        Err(problem) => plain(&problem.to_string()),
    }
});

fn plain(said: &str) {
    assert!(!said.chars().any(char::is_control), "{said:?}");
}
