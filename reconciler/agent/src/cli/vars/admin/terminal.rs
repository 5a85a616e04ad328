//! Asking a person on the terminal. What is hidden is not echoed, the terminal is as before whatever happens, and
//! every answer lies in memory that is overwritten.

use super::error::AdminError;
use reconciler_vars::Wiped;
use reconciler_vars::generators::PromptKind;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use unix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The control characters that end an answer, as a terminal sends them.
const INTERRUPT: u8 = 3;
const END: u8 = 4;
const QUIT: u8 = 28;

/// Whether there is a person to ask.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Standard input, past its buffer, which nothing overwrites.
pub(super) fn input() -> io::Result<File> {
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

/// Asks one question, which `text` puts.
pub(super) fn ask(text: &str, kind: PromptKind) -> Result<Zeroizing<Vec<u8>>, AdminError> {
    let end = if kind.is_multiline() {
        " (end with Ctrl-D on a line of its own)\n"
    } else {
        ": "
    };
    let mut out = io::stderr().lock();
    let input = input().map_err(AdminError::Terminal)?;
    let answer = {
        // Before the question: who answers at once is not to be shown.
        let _quiet = Quiet::begin(&input, kind)?;
        let put = write!(out, "{text}{end}").and_then(|()| out.flush());
        put.map_err(AdminError::Terminal)?;
        read(&input, kind)
    };
    if kind.is_hidden() || answer.is_err() {
        // The person's own line end was not shown.
        let _ = writeln!(out);
    }
    answer
}

fn read(mut input: &File, kind: PromptKind) -> Result<Zeroizing<Vec<u8>>, AdminError> {
    let mut answer = Wiped::new();
    let mut byte = Zeroizing::new([0u8; 1]);
    loop {
        match input.read(&mut *byte) {
            Ok(0) if !kind.is_multiline() && answer.is_empty() => return Err(AdminError::Interrupted),
            Ok(0) => return Ok(answer.into_bytes()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(AdminError::Terminal(error)),
        }
        let [byte] = *byte;
        match byte {
            INTERRUPT | QUIT => return Err(AdminError::Interrupted),
            b'\n' if !kind.is_multiline() => return Ok(answer.into_bytes()),
            // Only where the terminal does not take it for the end itself.
            END => {}
            byte => answer.push(byte),
        }
    }
}

/// The terminal without its echo and its signals: an interrupt has to come here, or nothing would set them back.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Quiet<'_> {
    fn begin(terminal: &File, kind: PromptKind) -> Result<Quiet<'_>, AdminError> {
        let failed = |error: unix::Error| AdminError::Terminal(error.into());
        let before = tcgetattr(terminal).map_err(failed)?;
        let mut quiet = before.clone();
        quiet.local_flags.insert(LocalFlags::ICANON);
        if kind.is_hidden() {
            quiet
                .local_flags
                .remove(LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ISIG);
            // Without signals an interrupt is a byte, and has to end the line to be seen.
            if let Some(end) = quiet
                .control_chars
                .get_mut(SpecialCharacterIndices::VEOL as usize)
            {
                *end = INTERRUPT;
            }
        }
        tcsetattr(terminal, SetArg::TCSADRAIN, &quiet).map_err(failed)?;
        Ok(Quiet { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}
