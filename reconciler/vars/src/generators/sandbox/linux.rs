//! Owns the sandbox of Linux: bubblewrap's command line. It must never give a script more of the host than the store.

use std::ffi::OsString;
use std::path::Path;

use super::workplace::{Invocation, Jail};

/// The folder that the script sees as its own.
const WORK: &str = "/work";
/// What its scratch space may hold, in bytes: 256 MiB.
const SCRATCH: &str = "268435456";

/// The script in namespaces of its own: no network, no process but its own, the store and its own folder alone of
/// all files, an unprivileged user. Everything ends when `bwrap` does.
pub fn bubblewrap(bwrap: &Path, jail: &Jail) -> Invocation {
    let mut arguments: Vec<OsString> = [
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--hostname",
        "localhost",
        "--uid",
        "1000",
        "--gid",
        "1000",
        "--cap-drop",
        "ALL",
        "--size",
        "1048576",
        "--tmpfs",
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--size",
        SCRATCH,
        "--tmpfs",
        "/tmp",
        "--size",
        SCRATCH,
        "--tmpfs",
        WORK,
        "--dir",
        "/work/tmp",
        "--ro-bind",
    ]
    .iter()
    .map(OsString::from)
    .collect();
    arguments.extend([jail.store.clone().into(), jail.store.clone().into()]);
    for (flag, name, place) in [
        ("--ro-bind", "in", "/work/in"),
        ("--ro-bind", "prompts", "/work/prompts"),
        ("--bind", "out", "/work/out"),
        ("--ro-bind", "script", "/work/script"),
        // Programs such as ssh-keygen ask who they are.
        ("--ro-bind", "etc", "/etc"),
    ] {
        arguments.extend([flag.into(), jail.work.join(name).into(), place.into()]);
    }
    if let Some(shell) = &jail.shell {
        // Scripts and `system(3)` look for it there.
        arguments.extend(["--symlink".into(), shell.clone().into(), "/bin/sh".into()]);
    }
    arguments.extend(["--remount-ro", "/", "--chdir", "/work/tmp", "--"].map(OsString::from));
    arguments.extend(jail.words(Path::new(WORK)));
    Invocation {
        program: bwrap.to_owned(),
        arguments,
        environment: jail.environment(Path::new(WORK), &jail.path),
        folder: jail.work.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_host_but_the_store_and_the_folder() {
        let jail = Jail {
            work: "/run/user/1/w".into(),
            store: "/nix/store".into(),
            shell: Some("/nix/store/x/bin/sh".into()),
            path: "/nix/store/x/bin".to_owned(),
        };
        let invocation = bubblewrap(Path::new("/bin/bwrap"), &jail);
        let words: Vec<_> = invocation
            .arguments
            .iter()
            .map(|word| word.to_str().unwrap())
            .collect();
        let bound: Vec<_> = words
            .iter()
            .zip(words.iter().skip(1))
            .filter(|(flag, _)| flag.contains("bind"))
            .map(|(_, from)| *from)
            .collect();
        assert_eq!(
            bound,
            [
                "/nix/store",
                "/run/user/1/w/in",
                "/run/user/1/w/prompts",
                "/run/user/1/w/out",
                "/run/user/1/w/script",
                "/run/user/1/w/etc"
            ]
        );
        assert!(words.ends_with(&["--", "/nix/store/x/bin/sh", "/work/script"]));
        assert!(words.contains(&"--unshare-all") && !words.contains(&"--share-net"));
    }
}
