//! Whole sessions as a daemon really spoke them, played back: complete, and cut after every byte.
//!
//! A transcript is text: `? <path>` for each path the session needs, then in turns what the client said (only
//! its length: `> <bytes>`) and what the daemon said (`< <hexadecimal>`), then what came of each operation
//! (`= <outcome>`). Set `NIX_DAEMON_TRANSCRIPTS` to a folder to keep the one that the installed daemon makes.

use std::fmt::Debug;
use std::fmt::Write as _;
use std::path::Path;

use nix_daemon_client::{
    BuildMode, Client, ConnectError, ConnectOptions, Connection, DerivedPath, Error, Event, Outputs,
    StorePath,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::daemon::Daemon;

#[derive(Debug, Default, Clone, PartialEq)]
struct Transcript {
    paths: Vec<StorePath>,
    turns: Vec<Turn>,
    outcomes: Vec<String>,
}

/// How many bytes the client sent, and what the daemon sent then.
#[derive(Debug, Default, Clone, PartialEq)]
struct Turn {
    heard: usize,
    said: Vec<u8>,
}

impl Transcript {
    fn parse(text: &str) -> Transcript {
        let mut transcript = Transcript::default();
        for line in text.lines() {
            let (mark, rest) = line.split_at(2);
            match mark {
                "? " => transcript.paths.push(rest.parse().unwrap()),
                "> " => transcript.turns.push(Turn {
                    heard: rest.parse().unwrap(),
                    said: Vec::new(),
                }),
                "< " => {
                    let said = &mut transcript.turns.last_mut().unwrap().said;
                    for pair in rest.as_bytes().chunks(2) {
                        said.push(u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
                    }
                }
                "= " => transcript.outcomes.push(rest.to_owned()),
                _ => panic!("{line}"),
            }
        }
        transcript
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        self.paths
            .iter()
            .for_each(|path| writeln!(text, "? {path}").unwrap());
        for turn in &self.turns {
            write!(text, "> {}\n< ", turn.heard).unwrap();
            turn.said
                .iter()
                .for_each(|byte| write!(text, "{byte:02x}").unwrap());
            text.push('\n');
        }
        self.outcomes
            .iter()
            .for_each(|outcome| writeln!(text, "= {outcome}").unwrap());
        text
    }
}

/// The derivations of a session: one that builds, one that fails, and a path that is nowhere.
fn paths(daemon: &Daemon) -> Vec<StorePath> {
    let good = "echo hello; echo '@nix {\"action\":\"setPhase\",\"phase\":\"x\"}'; echo > $out; echo > $dev";
    vec![
        daemon.derivation("good", good, "outputs = [ \"out\" \"dev\" ];"),
        daemon.derivation("bad", "echo on the way; exit 7", ""),
        StorePath::from_base_name(&daemon.store_dir(), "00000000000000000000000000000000-x").unwrap(),
    ]
}

/// Asks a bit of everything; stops at the first operation that leaves the connection closed.
async fn session(client: &mut Client, paths: &[StorePath]) -> Vec<String> {
    fn note<T: Debug>(outcomes: &mut Vec<String>, outcome: Result<T, Error>) -> bool {
        outcomes.push(format!("{outcome:?}"));
        outcome.is_ok()
            || matches!(
                outcome,
                Err(Error::Daemon {
                    connection: Connection::Alive,
                    ..
                })
            )
    }
    let [good, bad, nowhere] = paths else {
        panic!("{paths:?}")
    };
    let mut outcomes = Vec::new();
    let targets = [good, bad].map(|drv| DerivedPath::Built {
        drv: drv.clone(),
        outputs: Outputs::All,
    });
    let mut events = 0;
    let mut count = |_: Event| events += 1;

    let _ = note(&mut outcomes, client.add_temp_root(good).await)
        && note(&mut outcomes, client.query_missing(&targets).await)
        && note(
            &mut outcomes,
            client
                .build_paths_with_results(&targets[..1], BuildMode::Normal, &mut count)
                .await,
        )
        && note(
            &mut outcomes,
            client
                .build_paths_with_results(&targets[1..], BuildMode::Normal, &mut count)
                .await,
        )
        && note(&mut outcomes, client.query_derivation_output_map(good).await)
        && note(
            &mut outcomes,
            client.query_closure(std::slice::from_ref(good)).await,
        )
        && note(&mut outcomes, client.find_roots().await)
        && note(&mut outcomes, client.ensure_path(nowhere, &mut ()).await)
        && note(&mut outcomes, client.is_valid_path(nowhere).await)
        && note(
            &mut outcomes,
            client.nar_from_path(good, &mut tokio::io::sink()).await,
        );
    outcomes.push(format!("{events} events"));
    outcomes
}

/// Runs a session through a proxy that writes down what passes.
async fn record(daemon: &Daemon) -> Transcript {
    let socket = daemon.root().join("p.sock");
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
                    let count = count.unwrap();
                    if count == 0 {
                        return turns;
                    }
                    daemon.write_all(&asked[..count]).await.unwrap();
                    match turns.last_mut() {
                        Some(turn) if turn.said.is_empty() => turn.heard += count,
                        _ => turns.push(Turn { heard: count, said: Vec::new() }),
                    }
                }
                count = daemon.read(&mut told) => {
                    let count = count.unwrap();
                    assert!(count > 0, "the daemon hung up");
                    turns.last_mut().unwrap().said.extend(&told[..count]);
                    client.write_all(&told[..count]).await.unwrap();
                }
            }
        }
    });
    let paths = paths(daemon);
    let mut client = Client::connect(&socket, &ConnectOptions::default())
        .await
        .unwrap();
    let outcomes = session(&mut client, &paths).await;
    drop(client);
    Transcript {
        paths,
        turns: proxy.await.unwrap(),
        outcomes,
    }
}

/// Plays a transcript back, up to `cut` bytes of the daemon's side. Tells the outcomes, and whether the
/// connection was of use afterwards.
async fn replay(
    listener: &UnixListener,
    socket: &Path,
    transcript: &Transcript,
    cut: usize,
) -> Result<(Vec<String>, bool), ConnectError> {
    let daemon = async {
        let mut stream = listener.accept().await.unwrap().0;
        let mut left = cut;
        for turn in &transcript.turns {
            stream.read_exact(&mut vec![0; turn.heard]).await.unwrap();
            let some = turn.said.len().min(left);
            stream.write_all(&turn.said[..some]).await.unwrap();
            left -= some;
            if some < turn.said.len() {
                return;
            }
        }
        // A whole session ends when the client has what it wants.
        let _ = stream.read_u8().await;
    };
    let client = async {
        let mut client = Client::connect(socket, &ConnectOptions::default()).await?;
        let outcomes = session(&mut client, &transcript.paths).await;
        Ok((outcomes, client.is_open()))
    };
    tokio::join!(daemon, client).1
}

/// Plays a transcript back whole, and cut after every byte.
async fn check(transcript: &Transcript) {
    let folder = tempfile::Builder::new().prefix("nd").tempdir_in("/tmp").unwrap();
    let socket = folder.path().join("r.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let whole: usize = transcript.turns.iter().map(|turn| turn.said.len()).sum();
    let greeting: usize = transcript.turns.iter().take(2).map(|turn| turn.said.len()).sum();

    let (outcomes, open) = replay(&listener, &socket, transcript, whole).await.unwrap();
    assert_eq!(outcomes, transcript.outcomes);
    assert!(open);
    for cut in 0..whole {
        match replay(&listener, &socket, transcript, cut).await {
            Ok((outcomes, open)) => {
                assert!(!open && cut >= greeting, "cut at {cut}");
                // What was complete came out as it did then; the last one failed, and events are fewer.
                let complete = outcomes.len() - 2;
                assert_eq!(
                    outcomes[..complete],
                    transcript.outcomes[..complete],
                    "cut at {cut}"
                );
                let last = &outcomes[complete];
                assert!(
                    last.contains("Transport") || last.contains("connection: Closed"),
                    "cut at {cut}: {last}"
                );
            }
            Err(ConnectError::Denied { .. }) => assert_eq!(cut, 0),
            Err(ConnectError::Transport { .. }) => assert!(cut < greeting, "cut at {cut}"),
            Err(error) => panic!("cut at {cut}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn a_session_of_the_installed_daemon_plays_back() {
    let daemon = Daemon::start();
    let transcript = record(&daemon).await;
    let text = transcript.to_text();
    assert_eq!(Transcript::parse(&text), transcript);
    if let Some(folder) = std::env::var_os("NIX_DAEMON_TRANSCRIPTS") {
        let version = daemon.client().await.daemon_version().unwrap().to_owned();
        std::fs::write(Path::new(&folder).join(format!("{version}.txt")), text).unwrap();
    }
    check(&transcript).await;
}

#[tokio::test]
async fn sessions_of_other_daemons_play_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut versions = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        check(&Transcript::parse(&std::fs::read_to_string(&path).unwrap())).await;
        versions.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    versions.sort();
    assert_eq!(versions, ["2.26.3", "2.8.0"]);
}
