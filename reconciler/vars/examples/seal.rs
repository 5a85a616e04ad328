//! Encrypts standard input to age recipients, as sops does for a binary file: for the demo and for trying things.
//!
//! `seal AGE-RECIPIENT… < plaintext > secret`

use reconciler_vars::{Recipient, encrypt_binary};
use std::error::Error;
use std::io::{Read, Write};
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    let recipients: Vec<Recipient> = std::env::args()
        .skip(1)
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let mut plaintext = Vec::new();
    std::io::stdin().read_to_end(&mut plaintext)?;
    let now = Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])
        .output()?;
    let sealed = encrypt_binary(&plaintext, &recipients, String::from_utf8(now.stdout)?.trim())?;
    std::io::stdout().write_all(&sealed)?;
    Ok(())
}
