//! The id that a directory would have without something in it. Nothing is written.

use git2::{ObjectType, Oid};

use super::tree::{TreeError, TreeView};

impl TreeView<'_> {
    /// The id of this directory without what is at `path`; its own where nothing is there. A directory that is
    /// left empty is left out, since git keeps none.
    ///
    /// # Errors
    /// If an object on the way is missing or damaged.
    pub fn oid_without(&self, path: &str) -> Result<Oid, TreeError> {
        if self.entry(path)?.is_none() {
            return Ok(self.oid());
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        hash(&self.without(&parts)?).map_err(|source| TreeError::Object {
            oid: self.oid(),
            source,
        })
    }

    /// The object's content: mode in octal, space, name, NUL, id, for each entry, without `path`.
    fn without(&self, path: &[&str]) -> Result<Vec<u8>, TreeError> {
        let mut content = Vec::new();
        for entry in &self.tree {
            let name = entry.name_bytes();
            let mut oid = entry.id();
            if let Some((first, rest)) = path.split_first()
                && first.as_bytes() == name
            {
                if rest.is_empty() {
                    continue;
                }
                if entry.kind() == Some(ObjectType::Tree) {
                    let below = self.at(oid)?.without(rest)?;
                    if below.is_empty() {
                        continue;
                    }
                    oid = hash(&below).map_err(|source| TreeError::Object { oid, source })?;
                }
            }
            content.extend_from_slice(format!("{:o} ", entry.filemode_raw()).as_bytes());
            content.extend_from_slice(name);
            content.push(0);
            content.extend_from_slice(oid.as_bytes());
        }
        Ok(content)
    }
}

fn hash(content: &[u8]) -> Result<Oid, git2::Error> {
    Oid::hash_object(ObjectType::Tree, content)
}

#[cfg(test)]
mod tests {
    use crate::source::Mirror;
    use camino::Utf8Path;
    use std::process::Command;

    fn git(folder: &Utf8Path, script: &str) -> String {
        let output = Command::new("/bin/sh")
            .args(["-ec", script])
            .current_dir(folder)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", folder)
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "a")))
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "a@example.org")))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn it_is_the_id_that_git_gives_without_the_path() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(scratch.path()).unwrap();
        let head = git(
            folder,
            "git init -q --bare m.git; git init -q w; cd w; mkdir -p a/.reconciler/x b; echo 1 >a/.reconciler/x/y
             echo 2 >a/flake.nix; chmod +x a/flake.nix; echo 3 >b/z; ln -s z b/l; mkdir -p c/only; echo 4 >c/only/f
             git add -A; git commit -qm x; git push -q ../m.git HEAD:refs/remotes/fleet/main; git rev-parse HEAD",
        );
        let expected = |gone: &str| {
            let script =
                format!("cd w; git reset -q --hard {head}; git rm -rq --cached {gone}; git write-tree");
            git(folder, &script)
        };
        let mirror = Mirror::open_or_create(&folder.join("m.git")).unwrap();
        let view = mirror.tree(head.parse().unwrap()).unwrap();
        for gone in ["a/.reconciler", "a/.reconciler/x/y", "b/l", "c/only", "a"] {
            assert_eq!(
                view.oid_without(gone).unwrap().to_string(),
                expected(gone),
                "{gone}"
            );
        }
        assert_eq!(view.oid_without("a/nothing").unwrap(), view.oid());
        assert_eq!(view.oid_without("").unwrap(), view.oid());
    }
}
