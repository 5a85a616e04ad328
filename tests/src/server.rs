//! A web server that gives one answer to everything.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};

/// It listens on a port of its own until the process ends.
#[derive(Debug)]
pub struct Server {
    port: u16,
}

impl Server {
    /// Answers everything with this status line's rest (`401 Unauthorized`) and headers.
    #[must_use]
    pub fn answering(status: &str, headers: &[&str]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let headers = headers
            .iter()
            .map(|header| format!("{header}\r\n"))
            .collect::<String>();
        let answer = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.shutdown(Shutdown::Write);
            }
        });
        Server { port }
    }

    /// The address of a repository on it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/infra.git", self.port)
    }
}
