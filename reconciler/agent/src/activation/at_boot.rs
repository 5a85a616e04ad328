//! A unit that the host's systemd starts some time after the next boot, for as long as its files are there. Owns these: a
//! service, its timer, and the link that wants that; starts nothing, and knows nothing of transactions.

use crate::class::Invocation;
use crate::durable::{self, DurableError, Lasting};
use camino::{Utf8Path, Utf8PathBuf};
use std::time::Duration;

/// A unit of the host's own, beside those of its distribution.
#[derive(Debug)]
pub struct AtBoot {
    folder: Utf8PathBuf,
    name: String,
}

impl AtBoot {
    /// The one of this name on the host below `root`. What no name of a unit may have becomes `_`.
    #[must_use]
    pub fn named(root: &Utf8Path, name: &str) -> AtBoot {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        AtBoot {
            folder: root.join("etc/systemd/system"),
            name: name.chars().map(|c| if allowed(c) { c } else { '_' }).collect(),
        }
    }

    /// Whether its place leads below a folder.
    #[must_use]
    pub fn is_below(&self, folder: &Utf8Path) -> bool {
        let place = self.folder.canonicalize_utf8();
        place.is_ok_and(|place| place.starts_with(folder))
    }

    /// Has the next boot start it, this long after it, if a file that it `needs` is there then. It is started again if
    /// anything but its own end ends it.
    pub fn write(
        &self,
        description: &str,
        unit: &Invocation,
        after: Duration,
        (needs, log): (&Utf8Path, &Utf8Path),
    ) -> Result<(), DurableError> {
        let [service, timer, wanted] = self.files();
        let text = service_text(description, unit, (needs, log));
        durable::replace(&service, text.as_bytes(), 0o644, Lasting::Power)?;
        let text = timer_text(description, after);
        durable::replace(&timer, text.as_bytes(), 0o644, Lasting::Power)?;
        if let Some(folder) = wanted.parent().filter(|folder| !folder.exists()) {
            durable::folder(folder, 0o755)?;
        }
        durable::replace_link(&wanted, &timer)
    }

    /// Takes it away again. One that runs already runs on.
    pub fn remove(&self) -> Result<(), DurableError> {
        for path in self.files().into_iter().rev() {
            if path.symlink_metadata().is_ok() {
                durable::remove(&path)?;
            }
        }
        Ok(())
    }

    /// The service, its timer, and the link to that.
    fn files(&self) -> [Utf8PathBuf; 3] {
        let AtBoot { folder, name } = self;
        [
            format!("{name}.service"),
            format!("{name}.timer"),
            format!("multi-user.target.wants/{name}.timer"),
        ]
        .map(|file| folder.join(file))
    }
}

/// See systemd.timer(5): from when the boot got to it.
fn timer_text(description: &str, after: Duration) -> String {
    format!(
        "[Unit]\n\
         Description={}\n\
         \n\
         [Timer]\n\
         OnActiveSec={}s\n\
         AccuracySec=1s\n",
        literal(description),
        after.as_secs(),
    )
}

/// See systemd.unit(5) and systemd.service(5).
fn service_text(description: &str, unit: &Invocation, (needs, log): (&Utf8Path, &Utf8Path)) -> String {
    let command = std::iter::once(unit.program.as_str()).chain(unit.arguments.iter().map(String::as_str));
    let command: Vec<String> = command
        .map(|argument| word(&argument.replace('$', "$$")))
        .collect();
    let environment = unit.environment.iter();
    let environment: String = environment
        .map(|(name, value)| format!("Environment={}\n", word(&format!("{name}={value}"))))
        .collect();
    let mounted = [needs, &unit.program].map(|path| word(path.as_str())).join(" ");
    format!(
        "[Unit]\n\
         Description={}\n\
         After=local-fs.target nix-daemon.socket\n\
         RequiresMountsFor={mounted}\n\
         ConditionPathExists={}\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         Type=exec\n\
         {environment}\
         ExecStart={}\n\
         Restart=on-failure\n\
         RestartSec=5\n\
         OOMScoreAdjust=-900\n\
         WorkingDirectory=/\n\
         StandardOutput=append:{}\n\
         StandardError=inherit\n",
        literal(description),
        literal(needs.as_str()),
        command.join(" "),
        literal(log.as_str()),
    )
}

/// A text that systemd takes as it stands, where it looks for specifiers alone.
fn literal(text: &str) -> String {
    text.replace('%', "%%")
}

/// One word of a command line or an assignment, whatever is in it.
fn word(text: &str) -> String {
    let text = literal(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_until_it_is_taken_away() {
        let root = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(root.path()).unwrap();
        durable::folder(&root.join("etc/systemd/system"), 0o755).unwrap();
        let unit = Invocation {
            program: "/nix/store/x y/bin/reconcile".into(),
            arguments: vec!["--config".into(), "50%$HOME\"\\".into()],
            environment: vec![("PATH".into(), "/a b:/c".into())],
            unit: String::new(),
        };
        let at_boot = AtBoot::named(root, "deadman-var/lib/übung");
        let minute = Duration::from_secs(60);
        at_boot
            .write(
                "100 % sure",
                &unit,
                minute,
                ("/var/lib/c".into(), "/var/log 1".into()),
            )
            .unwrap();
        let folder = root.join("etc/systemd/system");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let text = read("deadman-var_lib__bung.service");
        for line in [
            "Description=100 %% sure",
            r#"ExecStart="/nix/store/x y/bin/reconcile" "--config" "50%%$$HOME\"\\""#,
            r#"Environment="PATH=/a b:/c""#,
            "StandardOutput=append:/var/log 1",
            "ConditionPathExists=/var/lib/c",
            r#"RequiresMountsFor="/var/lib/c" "/nix/store/x y/bin/reconcile""#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let wanted = "multi-user.target.wants/deadman-var_lib__bung.timer";
        assert!(read(wanted).contains("OnActiveSec=60s\n"));
        at_boot.remove().unwrap();
        let left = |folder: &Utf8Path| folder.read_dir_utf8().unwrap().count();
        assert_eq!(left(&folder.join("multi-user.target.wants")), 0);
        assert_eq!(left(&folder), 1);
        at_boot.remove().unwrap();
        let real = root.canonicalize_utf8().unwrap();
        assert!(at_boot.is_below(&real) && !at_boot.is_below("/nix/store".into()));
    }
}
