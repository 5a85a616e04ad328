//! Key files, private and public: age identities, and SSH keys in every format that is read. What they are told as
//! holds no private key.
#![no_main]

use reconciler_vars::{IdentityKind, Recipient, encrypt_binary, fuzzing, ssh_public_key_to_recipient};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let identities = fuzzing::identities(bytes);
    for info in identities.recipients() {
        assert!(identities.is_recipient(&info.recipient));
        // A plugin's key is told by a comment that anybody may have written.
        if info.kind != IdentityKind::PluginKey && !info.recipient.starts_with("ssh-") {
            assert!(info.recipient.starts_with("age1"));
        }
        if matches!(info.kind, IdentityKind::AgeKey | IdentityKind::SshHostKey) {
            let recipient: Recipient = info.recipient.parse().expect("a recipient");
            let sealed = encrypt_binary(b"x", &[recipient], "2024-02-29T12:00:00Z").unwrap();
            let opened = reconciler_vars::decrypt_file(&sealed, &identities).expect("its own file opens");
            assert_eq!(opened.into_bytes().unwrap().as_slice(), b"x");
        }
    }
    let told = format!("{identities:?}");
    assert!(
        !told.contains("SECRET-KEY") && !told.contains("PRIVATE"),
        "{told}"
    );
    for problem in identities.problems() {
        let _ = (problem.to_string(), problem.hint());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(recipient) = ssh_public_key_to_recipient(text) {
            assert!(recipient.parse::<Recipient>().is_ok());
        }
        if let Ok(recipient) = text.parse::<Recipient>() {
            assert_eq!(recipient.to_string().parse::<Recipient>().ok(), Some(recipient));
        }
    }
});
