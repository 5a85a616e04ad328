//! Prints the closure of store paths, as `nix path-info -r` does: for trying and measuring the client.
//!
//! `closure SOCKET STORE-PATH…`

use nix_daemon_client::{Client, ConnectOptions, StorePath};
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let socket = PathBuf::from(arguments.next().ok_or("usage: closure SOCKET STORE-PATH…")?);
    let roots: Vec<StorePath> = arguments.map(|path| path.parse()).collect::<Result<_, _>>()?;
    let mut client = Client::connect(&socket, &ConnectOptions::default()).await?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for info in client.query_closure(&roots).await? {
        writeln!(out, "{}", info.path)?;
    }
    out.flush()?;
    Ok(())
}
