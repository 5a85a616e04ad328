//! Keeps what is in this process's memory to it: no core dump, and on Linux no debugger of the same user.

use unix::sys::resource::{Resource, getrlimit, setrlimit};

/// Sees to it that a crash leaves no image of the memory. What the system does not allow is no failure: secrets
/// are wiped from memory as soon as they are laid down, and this is the second line.
pub fn keep_to_itself() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_CORE) {
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, most);
    }
    #[cfg(target_os = "linux")]
    let _ = unix::sys::prctl::set_dumpable(false);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn no_core_is_dumped() {
        keep_to_itself();
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap().0, 0);
        assert!(!unix::sys::prctl::get_dumpable().unwrap());
    }
}
