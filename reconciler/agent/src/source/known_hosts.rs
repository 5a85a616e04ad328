//! Which keys a host is known by: OpenSSH's known_hosts format. Pure.
//!
//! Format: `sshd(8)`, "SSH_KNOWN_HOSTS FILE FORMAT". Keys marked `@revoked` are never known; `@cert-authority`
//! is passed over, for libssh2 knows no certificates. Lines that cannot be read are passed over, as ssh does.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

/// One key, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownKey {
    pub(super) algorithm: String,
    /// Base64.
    pub(super) key: String,
}

/// The keys that `text` has for `host` at `port`.
pub(super) fn keys(text: &str, host: &str, port: u16) -> Vec<KnownKey> {
    let name = name(host, port);
    let mut known = Vec::new();
    let mut revoked = Vec::new();
    for line in text.lines() {
        let mut fields = line.split_whitespace().peekable();
        let marker = fields.next_if(|field| field.starts_with('@'));
        let (Some(patterns), Some(algorithm), Some(key)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if patterns.starts_with('#') || !matches(patterns, &name) || !is_key(algorithm, key) {
            continue;
        }
        let key = KnownKey {
            algorithm: algorithm.to_owned(),
            key: key.to_owned(),
        };
        match marker {
            None if !known.contains(&key) => known.push(key),
            Some("@revoked") => revoked.push(key),
            None | Some(_) => {}
        }
    }
    known.retain(|key| !revoked.contains(key));
    known
}

/// As a file names it: the port only where it is not 22.
pub(super) fn name(host: &str, port: u16) -> String {
    if port == 22 {
        host.to_ascii_lowercase()
    } else {
        format!("[{}]:{port}", host.to_ascii_lowercase())
    }
}

/// The blob starts with the algorithm's name, so that a line cannot claim another.
fn is_key(algorithm: &str, key: &str) -> bool {
    STANDARD.decode(key).is_ok_and(|blob| {
        blob.split_first_chunk::<4>().is_some_and(|(length, rest)| {
            usize::try_from(u32::from_be_bytes(*length))
                .ok()
                .and_then(|length| rest.get(..length))
                == Some(algorithm.as_bytes())
        })
    })
}

fn matches(patterns: &str, name: &str) -> bool {
    if patterns.starts_with('|') {
        return hashed(patterns, name);
    }
    let mut found = false;
    for pattern in patterns.split(',') {
        let pattern = pattern.to_ascii_lowercase();
        match pattern.strip_prefix('!') {
            Some(pattern) if wildcard(pattern.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= wildcard(pattern.as_bytes(), name.as_bytes()),
        }
    }
    found
}

/// `*` is any text, `?` any byte. Linear in memory, quadratic at worst in time.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (pattern, text);
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (p, t) {
            ([], []) => return true,
            ([b'*', rest @ ..], _) => {
                retry = Some((rest, t));
                p = rest;
            }
            ([first, rest @ ..], [byte, after @ ..]) if first == byte || *first == b'?' => {
                (p, t) = (rest, after);
            }
            _ => {
                let Some((rest, [_, after @ ..])) = retry else {
                    return false;
                };
                retry = Some((rest, after));
                (p, t) = (rest, after);
            }
        }
    }
}

/// `|1|salt|HMAC-SHA1(salt, name)`, both in base64.
fn hashed(pattern: &str, name: &str) -> bool {
    let mut fields = pattern.split('|').skip(1);
    let (Some("1"), Some(salt), Some(hash), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    match (STANDARD.decode(salt), STANDARD.decode(hash)) {
        (Ok(salt), Ok(hash)) => hmac_sha1(&salt, name.as_bytes()) == hash,
        _ => false,
    }
}

/// RFC 2104, for keys no longer than a block; known_hosts' salts have 20 bytes.
fn hmac_sha1(key: &[u8], text: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 64;
    let padded = |with: u8| {
        key.iter()
            .copied()
            .chain(std::iter::repeat(0))
            .take(BLOCK)
            .map(move |b| b ^ with)
    };
    let inner = Sha1::new()
        .chain_update(padded(0x36).collect::<Vec<u8>>())
        .chain_update(text)
        .finalize();
    let outer = Sha1::new()
        .chain_update(padded(0x5c).collect::<Vec<u8>>())
        .chain_update(inner);
    outer.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::{keys, wildcard};

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJm";

    fn found(text: &str, host: &str, port: u16) -> usize {
        keys(text, host, port).len()
    }

    #[test]
    fn lines_match_as_ssh_matches_them() {
        for (patterns, host, port, expected) in [
            ("git.example.org", "git.example.org", 22, 1),
            ("git.example.org", "Git.Example.ORG", 22, 1),
            ("git.example.org", "git.example.org", 2222, 0),
            ("[git.example.org]:2222", "git.example.org", 2222, 1),
            ("other,git.example.org", "git.example.org", 22, 1),
            ("*.example.org,!git.example.org", "git.example.org", 22, 0),
            ("*.example.org,!git.example.org", "a.example.org", 22, 1),
            ("#git.example.org", "git.example.org", 22, 0),
            // From `ssh-keygen -H` for "git.example.org".
            (
                "|1|H/z/XHnnwPe6gc+uDTKS71pPPIQ=|AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                "git.example.org",
                22,
                0,
            ),
        ] {
            let line = format!("{patterns} ssh-ed25519 {KEY} comment\n");
            assert_eq!(found(&line, host, port), expected, "{patterns} {host} {port}");
        }
    }

    #[test]
    fn a_revoked_key_is_not_known() {
        let text = format!("h ssh-ed25519 {KEY}\n@revoked * ssh-ed25519 {KEY}\nh ssh-ed25519 {OTHER}\n");
        assert_eq!(
            keys(&text, "h", 22)
                .iter()
                .map(|key| key.key.as_str())
                .collect::<Vec<_>>(),
            [OTHER]
        );
    }

    #[test]
    fn other_lines_are_passed_over() {
        for text in [
            "h",
            "h ssh-ed25519",
            "h ssh-rsa AAAA",
            "h ecdsa-sha2-nistp256 !!",
            "",
            "@cert-authority h ssh-ed25519 AAAA",
        ] {
            assert_eq!(found(text, "h", 22), 0, "{text}");
        }
        assert_eq!(
            found(&format!("h ssh-rsa {KEY}"), "h", 22),
            0,
            "the blob says another algorithm"
        );
        assert_eq!(found(&format!("@cert-authority h ssh-ed25519 {KEY}"), "h", 22), 0);
    }

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*b", "abx", false),
        ] {
            assert_eq!(
                wildcard(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }
}
