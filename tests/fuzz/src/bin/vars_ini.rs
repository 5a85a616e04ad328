//! The INI store: the first byte chooses the rule, the rest is a sealed file, or a document to be sealed.
#![no_main]

use reconciler_fuzz::document;
use reconciler_vars::Format;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| document(bytes, Format::Ini));
