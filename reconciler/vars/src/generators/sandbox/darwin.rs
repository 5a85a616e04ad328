//! Owns the sandbox of macOS: the profile for sandbox-exec. It must never let a script read what is not named in it.

use std::ffi::OsString;
use std::path::Path;

use super::workplace::{Invocation, Jail};

/// The script under `sandbox-exec`: denied is all that the profile does not name, the network with it.
///
/// `jail.work` has to be its real path: `/var` and `/tmp` are links on macOS, and the profile goes by what they lead
/// to.
pub fn seatbelt(jail: &Jail) -> Invocation {
    let mut arguments: Vec<OsString> = vec!["-p".into(), profile(jail).into(), "--".into()];
    arguments.extend(jail.words(&jail.work));
    Invocation {
        program: "/usr/bin/sandbox-exec".into(),
        arguments,
        environment: jail.environment(&jail.work, &jail.path),
        folder: jail.work.join("tmp"),
    }
}

/// The profile, in the language of `sandbox(7)`. The later rule wins.
fn profile(jail: &Jail) -> String {
    let folder = |name: &str| literal(&jail.work.join(name));
    format!(
        "(version 1)\n(deny default)\n\
         (allow process-fork)\n(allow signal (target same-sandbox))\n(allow sysctl-read)\n\
         (allow ipc-posix-sem)\n(allow file-read-metadata)\n\
         (allow mach-lookup (global-name \"com.apple.system.opendirectoryd.libinfo\"))\n\
         (allow process-exec file-read* (subpath {store}) (subpath \"/usr/lib\") (subpath \"/System/Library\") \
         (literal \"/bin/sh\") (literal \"/bin/bash\") (literal \"/usr/bin/env\") (subpath \"/private/var/select\") \
         (literal {script}))\n\
         (allow file-read* (literal \"/\") (literal \"/dev/urandom\") (literal \"/dev/random\") \
         (subpath {input}) (subpath {prompts}))\n\
         (allow file-read* file-write* (literal \"/dev/null\") (literal \"/dev/zero\") (literal \"/dev/tty\") \
         (subpath {out}) (subpath {tmp}))\n\
         (deny file-write-setugid)\n(deny network*)\n",
        store = literal(&jail.store),
        script = folder("script"),
        input = folder("in"),
        prompts = folder("prompts"),
        out = folder("out"),
        tmp = folder("tmp"),
    )
}

/// A string of the profile's language.
fn literal(path: &Path) -> String {
    let text = path.display().to_string();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_cannot_break_out_of_the_profile() {
        let jail = Jail {
            work: "/private/tmp/a\") (allow default) (\"".into(),
            store: "/nix/store".into(),
            shell: Some("/bin/bash".into()),
            path: String::new(),
        };
        let invocation = seatbelt(&jail);
        let profile = invocation.arguments[1].to_str().unwrap();
        assert!(
            profile.contains(r#"(subpath "/private/tmp/a\") (allow default) (\"/out")"#),
            "{profile}"
        );
        assert!(profile.contains("(deny network*)"));
        assert_eq!(
            invocation.arguments.last().unwrap(),
            &jail.work.join("script").into_os_string()
        );
    }
}
