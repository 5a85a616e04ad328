//! The `sops` section, as JSON has it and as a flat store has it: the same wherever both can be read, but for what is
//! empty, which a flat store has no words for.
#![no_main]

use reconciler_vars::fuzzing::fields;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok((mut nested, Ok(mut flat))) = fields(bytes) {
        for fields in [&mut nested, &mut flat] {
            fields.recipients.retain(|group| !group.is_empty());
        }
        assert_eq!(nested, flat);
    }
});
