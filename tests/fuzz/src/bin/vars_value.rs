//! One value, `ENC[…]`. The only text that opens is the one that would be written; what is sealed opens to itself.
//! The first byte chooses a type for the rest as plaintext.
#![no_main]

use reconciler_vars::fuzzing::{reseal, seal_value};
use reconciler_vars::sops::ValueProblem;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(Some(again)) = reseal(text, "a:")
    {
        assert_eq!(again, text);
    }
    let [kind, plaintext @ ..] = bytes else {
        return;
    };
    let Some(sealed) = seal_value(*kind, plaintext, "a:b:") else {
        return;
    };
    match reseal(&sealed, "a:b:") {
        // A number or a time in another spelling is written in its own.
        Ok(again) => {
            let again = again.expect("its nonce is of the length that is written");
            assert_eq!(reseal(&again, "a:b:").as_ref(), Ok(&Some(again.clone())));
        }
        Err(problem) => assert_eq!(problem, ValueProblem::Content),
    }
    assert_eq!(reseal(&sealed, "a:"), Err(ValueProblem::Authentication));
    assert_eq!(
        reseal(&format!("{sealed} "), "a:b:"),
        Err(ValueProblem::TrailingText)
    );
});
