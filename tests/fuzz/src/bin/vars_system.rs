//! The texts of a built system that name manifests, search paths and accounts, and a host's `passwd` and `group`. What is
//! read from one stands in it.
#![no_main]

use std::path::Path;

use reconciler_vars::fuzzing::{accounts, declared, search_path, store_paths};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for (start, path) in store_paths(text, Path::new("/nix/store")) {
        assert!(text[start..].starts_with(&path) && path.starts_with("/nix/store/"));
    }
    for folder in search_path(text).into_iter().flatten() {
        assert!(folder.is_absolute() && text.contains(folder.to_str().unwrap()));
    }
    let names = declared(text);
    for name in names.users.iter().chain(&names.groups) {
        // A document may write its characters in another way.
        assert!(text.contains(name.as_str()) || text.contains('\\'), "{name:?}");
    }
    let numbers = accounts(text);
    assert_eq!(numbers.contains_key("root"), true);
    for (name, number) in numbers.iter().filter(|(name, _)| *name != "root") {
        assert!(text.contains(&format!("{name}:")) && *number != u32::MAX);
    }
});
