//! Measures what a client waits for that asks for little: a build with nothing to do, and a connection.
//!
//! `latency SOCKET DERIVATION` builds the derivation, and then, fifty times each, in milliseconds:
//! `build`, its outputs asked for again on an open connection; `connect`, a connection of this client's; and `daemon`,
//! what the daemon itself needs for one: all that a client says in a single write, and its words read up to the last.

use nix_daemon_client::{BuildMode, BuildStatus, Client, ConnectOptions, DerivedPath, Outputs, StorePath};
use std::error::Error;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const TIMES: usize = 50;
/// The last word of a greeting, as it is on the wire.
const LAST: [u8; 8] = *b"stla\0\0\0\0";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(socket), Some(drv)) = (arguments.next(), arguments.next()) else {
        return Err("usage: latency SOCKET DERIVATION".into());
    };
    let (socket, drv) = (PathBuf::from(socket), drv.parse::<StorePath>()?);
    let options = ConnectOptions::default();
    let target = [DerivedPath::Built {
        drv,
        outputs: Outputs::All,
    }];
    let mut client = Client::connect(&socket, &options).await?;
    let minor = client.protocol().minor;
    let (mut builds, mut connects, mut daemons) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=TIMES {
        let began = Instant::now();
        let results = client
            .build_paths_with_results(&target, BuildMode::Normal, &mut ())
            .await?;
        // The first time it may have to be built.
        if round > 0 {
            builds.push(began.elapsed());
            let idle = results
                .iter()
                .all(|(_, result)| result.status == BuildStatus::AlreadyValid);
            if !idle {
                return Err(format!("{results:?} was to have nothing to do").into());
            }
        }
    }
    // In turns, so that whatever else the machine does slows both.
    for _ in 0..TIMES {
        let began = Instant::now();
        drop(Client::connect(&socket, &options).await?);
        connects.push(began.elapsed());
        let began = Instant::now();
        greet(&socket, minor)?;
        daemons.push(began.elapsed());
    }
    let mut out = std::io::stdout().lock();
    for (name, times) in [("build", builds), ("connect", connects), ("daemon", daemons)] {
        writeln!(out, "{name} {}", milliseconds(&times))?;
    }
    Ok(())
}

fn milliseconds(times: &[Duration]) -> String {
    let numbers = times
        .iter()
        .map(|time| format!("{:.3}", time.as_secs_f64() * 1000.0));
    numbers.collect::<Vec<_>>().join(" ")
}

/// The shortest greeting that the daemon answers, in its own version.
fn greet(socket: &Path, minor: u16) -> Result<(), Box<dyn Error>> {
    let mut stream = UnixStream::connect(socket)?;
    let mut hello = Vec::new();
    hello.extend(0x6e69_7863_u64.to_le_bytes());
    hello.extend((256 + u64::from(minor)).to_le_bytes());
    // No features, where they are exchanged; and two numbers that mean nothing any more.
    let nothings = if minor >= 38 { 3 } else { 2 };
    hello.extend(vec![0; 8 * nothings]);
    stream.write_all(&hello)?;
    let (mut said, mut some) = (Vec::new(), [0; 4096]);
    while !said.ends_with(&LAST) {
        let count = stream.read(&mut some)?;
        if count == 0 {
            return Err("the daemon hung up".into());
        }
        said.extend(some.iter().take(count));
    }
    Ok(())
}
