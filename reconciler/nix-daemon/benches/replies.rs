//! What the client itself costs: decoding long replies, and discovering a closure.
//!
//! The other end is a thread that gives prepared answers over a unix socket in a temporary folder, so that
//! neither a store nor a daemon is measured.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench ends where something is not as it has to be"
)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use nix_daemon_client::{BuildMode, Client, ConnectOptions, DerivedPath, Outputs, Progress, StorePath};
use std::collections::BTreeSet;
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;

const CLIENT_MAGIC: u64 = 0x6e69_7863;
const DAEMON_MAGIC: u64 = 0x6478_696f;
/// 1.37: the newest without an exchange of features.
const VERSION: u64 = (1 << 8) | 37;
const LAST: u64 = 0x616c_7473;
const RESULT: u64 = 0x5253_4c54;
const QUERY_PATH_INFO: u64 = 26;
const QUERY_VALID_PATHS: u64 = 31;
const BUILD_PATHS_WITH_RESULTS: u64 = 46;
const PATHS: u64 = 5_000;
const MESSAGES: u64 = 20_000;

/// The n-th path: its hash part is n in base 32.
fn path(n: u64) -> String {
    let digits = b"0123456789abcdfghijklmnpqrsvwxyz";
    let hash: String = (0..32)
        .rev()
        .map(|place| if place < 12 { n >> (5 * place) } else { 0 })
        .map(|digit| char::from(digits[usize::try_from(digit & 31).expect("five bits")]))
        .collect();
    format!("/nix/store/{hash}-text-{n}")
}

fn number(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(&n.to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
    out.resize(out.len().next_multiple_of(8), 0);
}

fn list(out: &mut Vec<u8>, texts: &[String]) {
    number(out, texts.len() as u64);
    for one in texts {
        text(out, one);
    }
}

/// The answers, made before anything is measured.
struct Answers {
    infos: Vec<Vec<u8>>,
    valid: Vec<u8>,
    build: Vec<u8>,
}

impl Answers {
    fn new() -> Answers {
        let info = |n: u64| {
            let mut out = Vec::new();
            number(&mut out, LAST);
            number(&mut out, 1);
            text(&mut out, "");
            text(&mut out, &"a1".repeat(32));
            let references = if n == 0 {
                Vec::new()
            } else {
                vec![path(n - 1), path(n / 2)]
            };
            list(&mut out, &references);
            number(&mut out, 1_700_000_000);
            number(&mut out, 112);
            number(&mut out, 0);
            list(&mut out, &[]);
            text(&mut out, "");
            out
        };
        let mut valid = Vec::new();
        number(&mut valid, LAST);
        list(&mut valid, &(0..PATHS).map(path).collect::<Vec<_>>());
        let mut build = Vec::new();
        for n in 0..MESSAGES {
            number(&mut build, RESULT);
            // Of an activity: progress, with its four numbers.
            for field in [7, 105, 4, 0, n, 0, MESSAGES, 0, 1, 0, 0] {
                number(&mut build, field);
            }
        }
        number(&mut build, LAST);
        number(&mut build, 0);
        Answers {
            infos: (0..PATHS).map(info).collect(),
            valid,
            build,
        }
    }
}

fn read_number(input: &mut impl Read) -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn read_text(input: &mut impl Read) -> std::io::Result<String> {
    let length = usize::try_from(read_number(input)?).expect("a length");
    let mut bytes = vec![0; length.next_multiple_of(8)];
    input.read_exact(&mut bytes)?;
    bytes.truncate(length);
    Ok(String::from_utf8(bytes).expect("text"))
}

fn read_list(input: &mut impl Read) -> std::io::Result<()> {
    for _ in 0..read_number(input)? {
        read_text(input)?;
    }
    Ok(())
}

/// Speaks with one client until it goes.
fn speak(stream: &UnixStream, answers: &Answers) -> std::io::Result<()> {
    let mut input = BufReader::new(stream);
    let mut output = BufWriter::with_capacity(64 << 10, stream);
    assert_eq!(read_number(&mut input)?, CLIENT_MAGIC);
    let mut hello = Vec::new();
    number(&mut hello, DAEMON_MAGIC);
    number(&mut hello, VERSION);
    output.write_all(&hello)?;
    output.flush()?;
    // Its version, and two that mean nothing any more.
    for _ in 0..3 {
        read_number(&mut input)?;
    }
    let mut hello = Vec::new();
    text(&mut hello, "2.20.0");
    number(&mut hello, 1);
    number(&mut hello, LAST);
    output.write_all(&hello)?;
    output.flush()?;
    loop {
        match read_number(&mut input)? {
            QUERY_PATH_INFO => {
                let asked = read_text(&mut input)?;
                let n: usize = asked
                    .rsplit('-')
                    .next()
                    .and_then(|n| n.parse().ok())
                    .expect("one of ours");
                output.write_all(&answers.infos[n])?;
            }
            QUERY_VALID_PATHS => {
                read_list(&mut input)?;
                read_number(&mut input)?;
                output.write_all(&answers.valid)?;
            }
            BUILD_PATHS_WITH_RESULTS => {
                read_list(&mut input)?;
                read_number(&mut input)?;
                output.write_all(&answers.build)?;
            }
            operation => panic!("operation {operation} was not expected"),
        }
        // As the daemon does: what is asked in one write is answered in one.
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
}

/// The thread's socket, in a folder that goes with it.
struct Daemon {
    _folder: tempfile::TempDir,
    socket: PathBuf,
}

impl Daemon {
    fn start() -> Daemon {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let answers = Arc::new(Answers::new());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = Arc::clone(&answers);
                // Ends when the client closes.
                std::thread::spawn(move || speak(&stream, &answers));
            }
        });
        Daemon {
            _folder: folder,
            socket,
        }
    }
}

fn replies(criterion: &mut Criterion) {
    let daemon = Daemon::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let connect = || {
        runtime
            .block_on(Client::connect(&daemon.socket, &ConnectOptions::default()))
            .expect("a connection")
    };
    let parsed = |n: u64| path(n).parse::<StorePath>().expect("a store path");

    let mut group = criterion.benchmark_group("replies");
    group.throughput(Throughput::Elements(PATHS));
    let mut client = connect();
    let roots = [parsed(PATHS - 1)];
    group.bench_function("closure of 5000 paths", |bencher| {
        bencher.iter(|| {
            let closure = runtime.block_on(client.query_closure(&roots)).expect("a closure");
            assert_eq!(closure.len() as u64, PATHS);
        });
    });
    let all: BTreeSet<StorePath> = (0..PATHS).map(parsed).collect();
    group.bench_function("set of 5000 paths", |bencher| {
        bencher.iter(|| {
            let valid = runtime
                .block_on(client.query_valid_paths(&all, nix_daemon_client::Substitution::Never))
                .expect("a set");
            assert_eq!(valid.len() as u64, PATHS);
        });
    });
    group.throughput(Throughput::Elements(MESSAGES));
    let target = DerivedPath::Built {
        drv: "/nix/store/00000000000000000000000000000000-made.drv"
            .parse()
            .expect("a derivation"),
        outputs: Outputs::All,
    };
    group.bench_function("20000 messages of progress", |bencher| {
        bencher.iter_batched(
            Progress::new,
            |mut progress| {
                runtime
                    .block_on(client.build_paths_with_results(
                        std::slice::from_ref(&target),
                        BuildMode::Normal,
                        &mut progress,
                    ))
                    .expect("a build");
                progress
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("connection and greeting", |bencher| {
        bencher.iter(connect);
    });
    group.finish();
}

criterion_group!(benches, replies);
criterion_main!(benches);
