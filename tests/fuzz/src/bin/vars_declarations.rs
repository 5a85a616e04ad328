//! What an entry declares: no name in it leads out of the folder that it is for.
#![no_main]

use reconciler_vars::{Declared, Requirements};

fn assert_below(path: &str) {
    let parts: Vec<_> = path.split('/').collect();
    assert!(
        parts
            .iter()
            .all(|part| !matches!(*part, "" | "." | "..") && !part.contains('\0')),
        "{path}"
    );
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(declared) = serde_json::from_slice::<Declared>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&declared).unwrap();
    assert_eq!(serde_json::from_slice::<Declared>(&written).unwrap(), declared);
    match Requirements::declared(&declared, "cinnabar", "root") {
        Ok(requirements) => {
            for file in requirements.files() {
                assert_below(&file.repository_path("cinnabar"));
                assert_below(&file.install_path("cinnabar"));
            }
            requirements
                .activation_paths("cinnabar")
                .for_each(|path| assert_below(path.trim_start_matches('/')));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
