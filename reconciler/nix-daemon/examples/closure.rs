//! Prints the closure of store paths, as `nix path-info -r` does: for trying and measuring the client.
//!
//! `closure SOCKET STORE-PATH…`, or `closure SOCKET --known` with the paths on the standard input, which are looked up
//! over two connections.

use nix_daemon_client::{Client, ConnectOptions, PathInfo, StorePath};
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).peekable();
    let socket = PathBuf::from(arguments.next().ok_or("usage: closure SOCKET STORE-PATH…")?);
    let infos = if arguments.next_if(|argument| argument == "--known").is_some() {
        known(&socket).await?
    } else {
        let roots: Vec<StorePath> = arguments.map(|path| path.parse()).collect::<Result<_, _>>()?;
        let mut client = Client::connect(&socket, &ConnectOptions::default()).await?;
        client.query_closure(&roots).await?
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for info in infos {
        writeln!(out, "{}", info.path)?;
    }
    out.flush()?;
    Ok(())
}

/// What the store knows about the paths on the standard input. A daemon has a process for each connection: two of
/// them look up half of the paths each.
async fn known(socket: &Path) -> Result<Vec<PathInfo>, Box<dyn Error>> {
    let paths: Vec<StorePath> = std::io::stdin()
        .lines()
        .map(|line| Ok(line?.parse()?))
        .collect::<Result<_, Box<dyn Error>>>()?;
    let (left, right) = paths.split_at(paths.len() / 2);
    let look_up = |half| async move {
        let mut client = Client::connect(socket, &ConnectOptions::default()).await?;
        Ok::<_, Box<dyn Error>>(client.query_path_infos(half).await?)
    };
    let (left, right) = tokio::join!(look_up(left), look_up(right));
    Ok(left?.into_iter().chain(right?).flatten().collect())
}
