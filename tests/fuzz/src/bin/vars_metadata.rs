//! The `sops` section, as JSON has it and as a flat store has it: the same wherever both can be read.
#![no_main]

use reconciler_vars::fuzzing::fields;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok((nested, Ok(flat))) = fields(bytes) {
        assert_eq!(nested, flat);
    }
});
