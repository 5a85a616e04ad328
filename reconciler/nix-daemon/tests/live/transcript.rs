//! Whole sessions as daemons really spoke them, played back: complete, in single bytes, and cut after every byte.
//!
//! A transcript is text: the newest version the client announced (`^ <minor>`), the paths that the session is about
//! (`? <path>`), then in turns what the client said (`> <hexadecimal>`) and what the daemon said (`< <hexadecimal>`),
//! then what came of each operation (`= <outcome>`). `tests/transcripts` has one of each version of the protocol; set
//! `NIX_DAEMON_TRANSCRIPTS` to a folder to keep those that the installed daemon makes.

use std::fmt::Debug;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use nix_daemon_client::nar::{self, FileMode};
use nix_daemon_client::{
    BuildMode, Client, ConnectError, ConnectOptions, Connection, DerivedPath, Error, Event, Garbage,
    HashPart, Outputs, SignatureCheck, StorePath, Substitution, Verification,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::daemon::Daemon;

/// The versions that some daemon speaks, or can be made to.
const MINORS: [u16; 4] = [34, 35, 37, 38];

#[derive(Debug, Default, Clone, PartialEq)]
struct Transcript {
    max_minor: u16,
    paths: Vec<StorePath>,
    turns: Vec<Turn>,
    outcomes: Vec<String>,
}

/// What the client sent, and what the daemon sent then.
#[derive(Debug, Default, Clone, PartialEq)]
struct Turn {
    heard: Vec<u8>,
    said: Vec<u8>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

impl Transcript {
    fn parse(text: &str) -> Transcript {
        let mut transcript = Transcript::default();
        for line in text.lines() {
            let (mark, rest) = line.split_at(2);
            match mark {
                "^ " => transcript.max_minor = rest.parse().unwrap(),
                "? " => transcript.paths.push(rest.parse().unwrap()),
                "> " => transcript.turns.push(Turn {
                    heard: unhex(rest),
                    said: Vec::new(),
                }),
                "< " => transcript.turns.last_mut().unwrap().said = unhex(rest),
                "= " => transcript.outcomes.push(rest.to_owned()),
                _ => panic!("{line}"),
            }
        }
        transcript
    }

    fn to_text(&self) -> String {
        let mut text = format!("^ {}\n", self.max_minor);
        for path in &self.paths {
            writeln!(text, "? {path}").unwrap();
        }
        for turn in &self.turns {
            writeln!(text, "> {}\n< {}", hex(&turn.heard), hex(&turn.said)).unwrap();
        }
        for outcome in &self.outcomes {
            writeln!(text, "= {outcome}").unwrap();
        }
        text
    }

    /// How much the daemon said, in all and in its greeting.
    fn lengths(&self) -> (usize, usize) {
        let length = |turns: &[Turn]| turns.iter().map(|turn| turn.said.len()).sum();
        (length(&self.turns), length(&self.turns[..2]))
    }

    fn options(&self) -> ConnectOptions {
        ConnectOptions {
            max_minor: self.max_minor,
            ..ConnectOptions::default()
        }
    }
}

/// What a session is about: a derivation that builds, one that fails, a path that is nowhere, and one of another store.
fn paths(daemon: &Daemon, number: usize) -> Vec<StorePath> {
    let good = "echo hello; echo '@nix {\"action\":\"setPhase\",\"phase\":\"x\"}'; echo > $out; echo > $dev";
    vec![
        daemon.derivation(&format!("good{number}"), good, "outputs = [ \"out\" \"dev\" ];"),
        daemon.derivation(&format!("bad{number}"), "echo on the way; exit 7", ""),
        StorePath::from_base_name(&daemon.store_dir(), "00000000000000000000000000000000-x").unwrap(),
        StorePath::from_absolute("/other/00000000000000000000000000000000-x").unwrap(),
    ]
}

/// Asks a bit of everything; stops at the first operation that leaves the connection closed.
async fn session(client: &mut Client, paths: &[StorePath]) -> Vec<String> {
    fn note<T: Debug>(outcomes: &mut Vec<String>, outcome: Result<T, Error>) -> Option<T> {
        outcomes.push(format!("{outcome:?}"));
        outcome.ok()
    }
    fn goes_on<T: Debug>(outcomes: &mut Vec<String>, outcome: Result<T, Error>) -> Option<()> {
        let alive = matches!(
            outcome,
            Ok(_)
                | Err(Error::Daemon {
                    connection: Connection::Alive,
                    ..
                })
        );
        note(outcomes, outcome);
        alive.then_some(())
    }
    let [good, bad, nowhere, foreign] = paths else {
        panic!("{paths:?}")
    };
    let targets = [good, bad].map(|drv| DerivedPath::Built {
        drv: drv.clone(),
        outputs: Outputs::All,
    });
    let archive = nar::write_file(Vec::new(), FileMode::Executable, 3, &b"hi\n"[..]).unwrap();
    let link = Path::new(good.store_dir()).with_file_name("link");
    let normal = BuildMode::Normal;
    let mut outcomes = Vec::new();
    let mut events = 0;
    let mut count = |_: Event| events += 1;

    let out = &mut outcomes;
    async {
        note(out, client.add_temp_root(good).await)?;
        note(out, client.query_missing(&targets).await)?;
        note(
            out,
            client
                .build_paths_with_results(&targets[..1], normal, &mut count)
                .await,
        )?;
        note(
            out,
            client
                .build_paths_with_results(&targets[1..], normal, &mut count)
                .await,
        )?;
        note(out, client.query_derivation_output_map(good).await)?;
        note(out, client.query_closure(std::slice::from_ref(good)).await)?;
        let hash = HashPart::parse(good.hash_part()).unwrap();
        note(out, client.query_path_from_hash_part(&hash).await)?;
        let asked = [good.clone(), nowhere.clone()].into();
        note(out, client.query_valid_paths(&asked, Substitution::Never).await)?;
        note(out, client.query_referrers(good).await)?;
        note(out, client.add_indirect_root(&link).await)?;
        note(out, client.find_roots().await)?;
        goes_on(out, client.ensure_path(nowhere, &mut count).await)?;
        note(out, client.is_valid_path(nowhere).await)?;
        let added = client
            .add_to_store_recursive("added", &archive[..], &mut count)
            .await;
        let added = note(out, added)?;
        note(out, client.query_path_info(&added.path).await)?;
        let mut back = Vec::new();
        note(out, client.nar_from_path(&added.path, &mut back).await)?;
        assert_eq!(back, archive);
        let again = client.add_to_store_nar(&added, SignatureCheck::Waived, &archive[..], &mut count);
        note(out, again.await)?;
        note(out, client.collect_garbage(&Garbage::ListDead, &mut count).await)?;
        note(
            out,
            client.verify_store(Verification::Existence, &mut count).await,
        )?;
        // An error that is sent twice, before the daemon hangs up.
        note(out, client.is_valid_path(foreign).await)
    }
    .await;
    outcomes.push(format!("{events} events"));
    outcomes
}

/// Runs a session through a proxy that writes down what passes.
async fn record(daemon: &Daemon, max_minor: u16) -> Transcript {
    let socket = daemon.root().join(format!("p{max_minor}.sock"));
    let listener = UnixListener::bind(&socket).unwrap();
    let upstream = daemon.socket();
    let proxy = tokio::spawn(async move {
        let mut client = listener.accept().await.unwrap().0;
        let mut daemon = UnixStream::connect(upstream).await.unwrap();
        let mut turns: Vec<Turn> = Vec::new();
        let (mut asked, mut told) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                count = client.read(&mut asked) => {
                    let asked = &asked[..count.unwrap_or(0)];
                    if asked.is_empty() || daemon.write_all(asked).await.is_err() {
                        break;
                    }
                    match turns.last_mut() {
                        Some(turn) if turn.said.is_empty() => turn.heard.extend(asked),
                        _ => turns.push(Turn { heard: asked.to_vec(), said: Vec::new() }),
                    }
                }
                count = daemon.read(&mut told) => {
                    let told = &told[..count.unwrap_or(0)];
                    if told.is_empty() {
                        break;
                    }
                    turns.last_mut().unwrap().said.extend(told);
                    let _ = client.write_all(told).await;
                }
            }
        }
        turns.retain(|turn| !turn.said.is_empty());
        turns
    });
    let mut transcript = Transcript {
        max_minor,
        paths: paths(daemon, usize::from(max_minor)),
        ..Transcript::default()
    };
    let mut client = Client::connect(&socket, &transcript.options()).await.unwrap();
    transcript.outcomes = session(&mut client, &transcript.paths).await;
    drop(client);
    transcript.turns = proxy.await.unwrap();
    transcript
}

/// Plays a transcript back up to `cut` bytes of the daemon's side, through a pipe that takes `pipe` bytes at a time.
/// Tells the outcomes, and whether the connection was of use afterwards.
async fn replay(
    transcript: &Transcript,
    cut: usize,
    pipe: usize,
) -> Result<(Vec<String>, bool), ConnectError> {
    let (ours, mut theirs) = tokio::io::duplex(pipe);
    let daemon = async move {
        let mut left = cut;
        for (index, turn) in transcript.turns.iter().enumerate() {
            let mut heard = Vec::new();
            let asked = u64::try_from(turn.heard.len()).unwrap();
            (&mut theirs).take(asked).read_to_end(&mut heard).await.unwrap();
            assert!(turn.heard.starts_with(&heard), "turn {index}: {}", hex(&heard));
            if heard.len() < turn.heard.len() {
                // It had sent more when it was recorded, before it heard of the error that ends it.
                return;
            }
            let some = turn.said.len().min(left);
            // Who has heard enough may have hung up.
            let _ = theirs.write_all(&turn.said[..some]).await;
            left -= some;
            if some < turn.said.len() {
                return;
            }
        }
    };
    let client = async {
        let mut client = Client::over(ours, &transcript.options()).await?;
        let outcomes = session(&mut client, &transcript.paths).await;
        Ok((outcomes, client.is_open()))
    };
    // The clock stands still while there is something to do: an hour is for ever.
    let both = async { tokio::join!(daemon, client).1 };
    let ended = tokio::time::timeout(Duration::from_secs(3600), both).await;
    ended.unwrap_or_else(|_| panic!("cut at {cut}: it hangs"))
}

/// Plays a transcript back whole, at once and in single bytes.
async fn check_whole(transcript: &Transcript) {
    let (whole, _) = transcript.lengths();
    for pipe in [1 << 20, 1] {
        let (outcomes, open) = replay(transcript, whole, pipe).await.unwrap();
        assert_eq!(outcomes, transcript.outcomes, "in pieces of {pipe}");
        // It ends with the error after which the daemon hangs up.
        assert!(!open);
    }
}

/// Plays a transcript back, cut after every byte.
async fn check_cuts(transcript: &Transcript) {
    let (whole, greeting) = transcript.lengths();
    for cut in 0..whole {
        match replay(transcript, cut, 1 << 20).await {
            Ok((outcomes, open)) => {
                assert!(!open && cut >= greeting, "cut at {cut}");
                // What was complete came out as it did then; the last one failed, and events are fewer.
                let (last, complete) = outcomes[..outcomes.len() - 1].split_last().unwrap();
                assert_eq!(complete, &transcript.outcomes[..complete.len()], "cut at {cut}");
                assert!(
                    last.starts_with("Err(Transport") || last.contains("connection: Closed"),
                    "cut at {cut}: {last}"
                );
            }
            Err(ConnectError::Denied { .. }) => assert_eq!(cut, 0),
            Err(ConnectError::Transport { .. }) => assert!(cut < greeting, "cut at {cut}"),
            Err(error) => panic!("cut at {cut}: {error:?}"),
        }
    }
}

/// A runtime whose clock stands still while there is something to do.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn sessions_of_the_installed_daemon_play_back() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let daemon = Daemon::start();
    let (newest, version) = runtime.block_on(async {
        let client = daemon.client().await;
        (
            client.protocol().minor,
            client.daemon_version().unwrap().to_owned(),
        )
    });
    for max_minor in MINORS.into_iter().filter(|minor| *minor <= newest) {
        let transcript = runtime.block_on(record(&daemon, max_minor));
        let text = transcript.to_text();
        assert_eq!(Transcript::parse(&text), transcript);
        if let Some(folder) = std::env::var_os("NIX_DAEMON_TRANSCRIPTS") {
            std::fs::write(
                Path::new(&folder).join(format!("1.{max_minor}-nix-{version}.txt")),
                text,
            )
            .unwrap();
        }
        block_on(check_whole(&transcript));
    }
}

fn recorded(name: &str) -> Transcript {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/transcripts")
        .join(name);
    Transcript::parse(&std::fs::read_to_string(file).unwrap())
}

/// A test for each, so that they run side by side.
macro_rules! recorded_sessions {
    ($($test:ident: $file:literal,)*) => {
        $(#[test]
        fn $test() {
            let transcript = recorded($file);
            block_on(async {
                check_whole(&transcript).await;
                check_cuts(&transcript).await;
            });
        })*

        #[test]
        fn every_transcript_is_played_back() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
            let there = std::fs::read_dir(folder).unwrap();
            let mut names: Vec<_> = there.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            assert_eq!(names, [$($file),*]);
        }
    };
}

recorded_sessions! {
    protocol_1_34_plays_back: "1.34-nix-2.8.0.txt",
    protocol_1_35_plays_back: "1.35-nix-2.26.3.txt",
    protocol_1_37_plays_back: "1.37-nix-2.26.3.txt",
    protocol_1_38_plays_back: "1.38-nix-2.26.3.txt",
    protocol_1_38_of_a_newer_daemon_plays_back: "1.38-nix-2.34.8.txt",
}
