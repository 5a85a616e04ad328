//! A web server that gives files to whoever has the password, as git's dumb protocol and a tarball need it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// It listens on a port of its own until the process ends.
#[derive(Debug)]
pub struct FileServer {
    port: u16,
    refused: Arc<Mutex<usize>>,
}

impl FileServer {
    /// Serves what lies in `folder` to requests with exactly this `Authorization`.
    #[must_use]
    pub fn new(folder: &Path, authorization: &str) -> FileServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let refused = Arc::new(Mutex::new(0));
        let (folder, header) = (folder.to_owned(), format!("authorization: {authorization}"));
        let counted = Arc::clone(&refused);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, header, counted) = (folder.clone(), header.clone(), Arc::clone(&counted));
                std::thread::spawn(move || {
                    if answer(&stream, &folder, &header) == Some(401) {
                        *counted.lock().unwrap() += 1;
                    }
                });
            }
        });
        FileServer { port, refused }
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many requests came without the password so far.
    #[must_use]
    pub fn refused(&self) -> usize {
        *self.refused.lock().unwrap()
    }
}

fn answer(mut stream: &TcpStream, folder: &Path, header: &str) -> Option<u16> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next()?.ok()?;
    let headers: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let path = request
        .split(' ')
        .nth(1)?
        .split('?')
        .next()?
        .trim_start_matches('/');
    let allowed = headers.iter().any(|line| {
        let (name, value) = line.split_once(':').unwrap_or_default();
        format!("{}: {}", name.to_lowercase(), value.trim()) == header
    });
    let file: PathBuf = folder.join(path);
    let (status, body) = if allowed {
        match std::fs::read(file) {
            Ok(body) => (200, body),
            Err(_) => (404, Vec::new()),
        }
    } else {
        (401, Vec::new())
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nContent-Type: application/octet-stream\r\n\
         WWW-Authenticate: Basic realm=\"fleet\"\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    if !request.starts_with("HEAD") {
        stream.write_all(&body).ok()?;
    }
    Some(status)
}
