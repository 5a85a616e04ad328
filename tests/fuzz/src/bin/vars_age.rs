//! Plain age files, in armor or not, for keys of every kind: X25519, post-quantum, SSH's.
#![no_main]

use reconciler_fuzz::identities;
use reconciler_vars::sops::inspect;
use reconciler_vars::{Format, decrypt, decrypt_file};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let opened = decrypt_file(bytes, identities());
    let as_yaml = decrypt(bytes, Format::Yaml, identities());
    match opened {
        Ok(opened) => {
            let text = opened.lookup("").unwrap();
            assert!(text.len() < bytes.len());
            if let Ok(as_yaml) = as_yaml {
                assert_eq!(as_yaml.format(), Format::Binary);
                assert_eq!(as_yaml.lookup("").unwrap(), text);
            }
            inspect(bytes).expect("what opens has the form of what opens");
        }
        Err(error) => {
            let _ = (error.to_string(), as_yaml.is_ok(), inspect(bytes).is_ok());
        }
    }
});
