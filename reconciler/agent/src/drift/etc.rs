//! The leaves of `/etc`, held against those of a toplevel as NixOS' `setup-etc.pl` installs them: a link to
//! `/etc/static/NAME`, or, where `NAME.mode` is not `symlink`, a copy with that mode, `NAME.uid` and `NAME.gid`.

use super::item::{Cause, Item, Kind};
use camino::{Utf8Path, Utf8PathBuf};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use unix::unistd::{Group, User};

/// The most that is told; more is one fault and not a thousand.
const MOST: usize = 200;

/// What is beside a leaf and says how it is installed.
const ASIDE: [&str; 3] = ["mode", "uid", "gid"];

/// Compares `etc` of the host with `wanted` of the toplevel; `name` is what `etc` is called in the result, and
/// `fixed` the link that leads to the toplevel's, `/etc/static`.
pub(super) fn drift(etc: &Utf8Path, wanted: &Utf8Path, fixed: &Utf8Path) -> Vec<Item> {
    let mut walk = Walk {
        etc: etc.to_owned(),
        wanted: wanted.to_owned(),
        fixed: fixed.to_owned(),
        found: Vec::new(),
    };
    let same = |a: &Utf8Path, b: &Utf8Path| a.canonicalize().ok() == b.canonicalize().ok();
    if !same(fixed, wanted) {
        // Everything else goes through it.
        let actual = fixed
            .read_link_utf8()
            .map_or_else(|_| describe(fixed), |to| to.to_string());
        let cause = cause(fixed);
        return vec![
            Item::new(Kind::Etc, cause, "/etc/static")
                .expected(wanted.as_str())
                .actual(actual),
        ];
    }
    walk.folder(Utf8Path::new(""));
    walk.found
}

struct Walk {
    etc: Utf8PathBuf,
    wanted: Utf8PathBuf,
    fixed: Utf8PathBuf,
    found: Vec<Item>,
}

impl Walk {
    fn folder(&mut self, below: &Utf8Path) {
        let Ok(entries) = self.wanted.join(below).read_dir_utf8() else {
            return;
        };
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_owned())
            .collect();
        names.sort();
        for name in &names {
            if self.found.len() >= MOST {
                return;
            }
            let described = name.rsplit_once('.').is_some_and(|(stem, ending)| {
                ASIDE.contains(&ending) && names.binary_search_by(|known| known.as_str().cmp(stem)).is_ok()
            });
            if !described {
                self.leaf(&below.join(name));
            }
        }
    }

    fn leaf(&mut self, name: &Utf8Path) {
        let (there, wanted, fixed) = (self.etc.join(name), self.wanted.join(name), self.fixed.join(name));
        let aside = |ending: &str| {
            std::fs::read_to_string(format!("{wanted}.{ending}"))
                .ok()
                .map(|text| text.trim().to_owned())
        };
        if let Some(mode) = aside("mode").filter(|mode| mode != "symlink" && mode != "direct-symlink") {
            self.copy(name, &mode, aside("uid"), aside("gid"));
            return;
        }
        let target = there.read_link_utf8().ok();
        let is_link = target.as_ref() == Some(&fixed)
            || (target.is_some() && there.canonicalize().ok() == wanted.canonicalize().ok());
        if is_link {
            return;
        }
        // A folder of the toplevel may be linked whole, or made with its files linked one by one.
        let is_real_folder = there.symlink_metadata().is_ok_and(|facts| facts.is_dir());
        if wanted.is_dir() && (is_real_folder || !there.exists()) && target.is_none() {
            self.folder(name);
            return;
        }
        let actual = target.map_or_else(|| describe(&there), |to| format!("a link to {to}"));
        self.found.push(
            Item::new(Kind::Etc, cause(&there), format!("/etc/{name}"))
                .expected(format!("a link to {fixed}"))
                .actual(actual),
        );
    }

    fn copy(&mut self, name: &Utf8Path, mode: &str, uid: Option<String>, gid: Option<String>) {
        let (there, wanted) = (self.etc.join(name), self.wanted.join(name));
        let item = |cause| Item::new(Kind::Etc, cause, format!("/etc/{name}"));
        let Some(facts) = there.symlink_metadata().ok().filter(Metadata::is_file) else {
            let found = item(cause(&there)).expected(format!("a copy of {wanted}"));
            self.found.push(found.actual(describe(&there)));
            return;
        };
        // Unreadable is no difference: only root sees all of `/etc`.
        if let (Ok(is), Ok(should)) = (std::fs::read(&there), std::fs::read(&wanted))
            && is != should
        {
            let found = item(Cause::Person).expected(format!("a copy of {wanted}"));
            self.found.push(found.actual("other content"));
            return;
        }
        let number = |text: Option<String>, by_name: &dyn Fn(&str) -> Option<u32>| {
            let text = text?;
            text.trim_start_matches('+')
                .parse()
                .ok()
                .or_else(|| by_name(&text))
        };
        let user = number(uid, &|name| {
            User::from_name(name).ok()?.map(|user| user.uid.as_raw())
        });
        let group = number(gid, &|name| {
            Group::from_name(name).ok()?.map(|group| group.gid.as_raw())
        });
        let should = (
            u32::from_str_radix(mode, 8).unwrap_or(facts.mode() & 0o7777),
            user.unwrap_or(facts.uid()),
            group.unwrap_or(facts.gid()),
        );
        let is = (facts.mode() & 0o7777, facts.uid(), facts.gid());
        let show = |(mode, user, group): (u32, u32, u32)| format!("mode {mode:04o}, owner {user}:{group}");
        if is != should {
            self.found
                .push(item(Cause::Person).expected(show(should)).actual(show(is)));
        }
    }
}

/// What is gone fell out of place; what is there instead somebody put there.
fn cause(path: &Utf8Path) -> Cause {
    if path.symlink_metadata().is_ok() {
        Cause::Person
    } else {
        Cause::Displaced
    }
}

fn describe(path: &Utf8Path) -> String {
    match path.symlink_metadata() {
        Err(_) => "nothing".to_owned(),
        Ok(facts) if facts.is_dir() => "a folder".to_owned(),
        Ok(facts) if facts.is_file() => format!("a regular file of {}", crate::text::size(facts.len())),
        Ok(_) => "something else".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Lasting, replace};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn write(path: &Utf8Path, text: &str) {
        replace(path, text.as_bytes(), 0o644, Lasting::Process).unwrap();
    }

    struct Host {
        scratch: tempfile::TempDir,
    }

    impl Host {
        fn path(&self, path: &str) -> Utf8PathBuf {
            Utf8Path::from_path(self.scratch.path()).unwrap().join(path)
        }

        /// A toplevel's `etc` with a file, a folder and a copy, installed as it should be.
        fn installed() -> Host {
            let host = Host {
                scratch: tempfile::tempdir().unwrap(),
            };
            let (wanted, etc) = (host.path("top/etc"), host.path("etc"));
            std::fs::create_dir_all(wanted.join("ssh")).unwrap();
            std::fs::create_dir_all(etc.join("ssh")).unwrap();
            std::fs::create_dir_all(host.path("units")).unwrap();
            symlink(host.path("units"), wanted.join("systemd")).unwrap();
            symlink(&wanted, etc.join("static")).unwrap();
            for file in ["motd", "ssh/sshd_config"] {
                write(&wanted.join(file), file);
                symlink(etc.join("static").join(file), etc.join(file)).unwrap();
            }
            symlink(etc.join("static/systemd"), etc.join("systemd")).unwrap();
            write(&wanted.join("machine"), "copied");
            write(&wanted.join("machine.mode"), "0600\n");
            write(&etc.join("machine"), "copied");
            std::fs::set_permissions(etc.join("machine"), std::fs::Permissions::from_mode(0o600)).unwrap();
            host
        }

        fn drift(&self) -> Vec<(String, String, Cause)> {
            drift(&self.path("etc"), &self.path("top/etc"), &self.path("etc/static"))
                .into_iter()
                .map(|item| (item.subject, item.actual, item.cause))
                .collect()
        }
    }

    #[test]
    fn what_the_toplevel_installed_is_no_drift() {
        assert_eq!(Host::installed().drift(), []);
    }

    #[test]
    fn what_was_put_in_its_place_or_taken_away_is() {
        let found = |subject: &str, actual: &str, cause| vec![(subject.to_owned(), actual.to_owned(), cause)];
        let host = Host::installed();
        std::fs::remove_file(host.path("etc/ssh/sshd_config")).unwrap();
        assert_eq!(
            host.drift(),
            found("/etc/ssh/sshd_config", "nothing", Cause::Displaced)
        );
        write(&host.path("etc/ssh/sshd_config"), "mine");
        assert_eq!(
            host.drift(),
            found("/etc/ssh/sshd_config", "a regular file of 4 B", Cause::Person)
        );

        let host = Host::installed();
        write(&host.path("etc/machine"), "edited");
        assert_eq!(
            host.drift(),
            found("/etc/machine", "other content", Cause::Person)
        );

        let host = Host::installed();
        std::fs::set_permissions(host.path("etc/machine"), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(host.drift().len(), 1);
        assert!(host.drift()[0].1.starts_with("mode 0644"));

        let host = Host::installed();
        std::fs::remove_file(host.path("etc/static")).unwrap();
        assert_eq!(host.drift(), found("/etc/static", "nothing", Cause::Displaced));
    }

    #[test]
    fn a_folder_that_is_gone_is_told_by_its_leaves() {
        let host = Host::installed();
        std::fs::remove_dir_all(host.path("etc/ssh")).unwrap();
        assert_eq!(
            host.drift(),
            [(
                "/etc/ssh/sshd_config".to_owned(),
                "nothing".to_owned(),
                Cause::Displaced
            )]
        );
    }
}
