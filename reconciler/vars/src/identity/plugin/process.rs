//! Owns the one kind of process that this crate starts: a plugin, with an empty environment, in a process group of
//! its own, until a point in time. It must never outlive the conversation.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use unix::sys::signal::{Signal, killpg};
use unix::unistd::Pid;
use zeroize::Zeroizing;

/// More is not read of a plugin, in bytes: it answers with a key of 16 bytes and a few sentences.
const MOST_OUTPUT: usize = 1 << 20;
/// How long a plugin that is done may take to leave by itself.
const FAREWELL: Duration = Duration::from_secs(2);

/// A plugin that runs.
pub(super) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<io::Result<Zeroizing<Vec<u8>>>>,
    pending: Zeroizing<Vec<u8>>,
    seen: usize,
    deadline: Instant,
}

/// Why there is no next line.
#[derive(Debug)]
pub(super) enum Silence {
    /// The time is over.
    TooLate,
    /// The plugin closed its output.
    Ended,
    /// It said more than any plugin does.
    TooMuch,
    /// The pipe broke.
    Broken(io::Error),
}

/// Whoever speaks the plugin protocol.
pub(super) trait Peer {
    /// Its next line, without the newline.
    fn line(&mut self) -> Result<Zeroizing<Vec<u8>>, Silence>;

    /// Is told something.
    fn say(&mut self, text: Zeroizing<Vec<u8>>) -> Result<(), Silence>;
}

impl Process {
    /// Starts it for one of the protocol's two conversations, `identity-v1` or `recipient-v1`.
    pub(super) fn start(program: &Path, role: &str, search_path: &str, limit: Duration) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg(format!("--age-plugin={role}"))
            .env_clear()
            .env("PATH", search_path)
            .env("LC_ALL", "C")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        // Bounded: a plugin that floods waits for its reader.
        let (send, receive) = sync_channel(4);
        if let Some(mut output) = output {
            thread::spawn(move || {
                loop {
                    let mut piece = Zeroizing::new(vec![0; 4096]);
                    let read = match output.read(&mut piece) {
                        Ok(0) => break,
                        Ok(length) => {
                            piece.truncate(length);
                            Ok(piece)
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => Err(error),
                    };
                    // Nobody listens any more once the conversation is over.
                    if read.is_err() || send.send(read).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self {
            child,
            input,
            output: receive,
            pending: Zeroizing::new(Vec::new()),
            seen: 0,
            deadline: Instant::now() + limit,
        })
    }

    /// Lets it leave by itself: it may have a token to give back.
    pub(super) fn farewell(mut self) {
        self.input = None;
        let until = Instant::now() + FAREWELL;
        // The end of its output is the end of it, or of all that is of interest.
        while let Ok(Ok(_)) = self
            .output
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {}
    }
}

impl Peer for Process {
    fn line(&mut self) -> Result<Zeroizing<Vec<u8>>, Silence> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let rest = Zeroizing::new(self.pending.split_off(end.saturating_add(1)));
                let mut line = std::mem::replace(&mut self.pending, rest);
                line.pop();
                return Ok(line);
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(Ok(piece)) => {
                    self.seen = self.seen.saturating_add(piece.len());
                    if self.seen > MOST_OUTPUT {
                        return Err(Silence::TooMuch);
                    }
                    let mut joined =
                        Zeroizing::new(Vec::with_capacity(self.pending.len().saturating_add(piece.len())));
                    joined.extend_from_slice(&self.pending);
                    joined.extend_from_slice(&piece);
                    self.pending = joined;
                }
                Ok(Err(error)) => return Err(Silence::Broken(error)),
                Err(RecvTimeoutError::Timeout) => return Err(Silence::TooLate),
                Err(RecvTimeoutError::Disconnected) => return Err(Silence::Ended),
            }
        }
    }

    /// A plugin that reads nothing can hold this up only until its pipe is full, so everything
    /// is handed to a thread that ends with it.
    fn say(&mut self, text: Zeroizing<Vec<u8>>) -> Result<(), Silence> {
        let Some(mut input) = self.input.take() else {
            return Err(Silence::Ended);
        };
        let (send, receive) = sync_channel(1);
        thread::spawn(move || {
            let result = input.write_all(&text).and_then(|()| input.flush());
            let _ = send.send(result.map(|()| input));
        });
        let left = self.deadline.saturating_duration_since(Instant::now());
        match receive.recv_timeout(left) {
            Ok(Ok(input)) => {
                self.input = Some(input);
                Ok(())
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Err(Silence::Ended),
            Ok(Err(error)) => Err(Silence::Broken(error)),
            Err(_) => Err(Silence::TooLate),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.input = None;
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}
