//! A tiny http server in front of `git http-backend`, and its evil twins.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use camino::Utf8PathBuf;

/// What the server does with a request.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// Serves the repositories below this folder, over protocol version 2 if the client asks.
    Git(Utf8PathBuf),
    /// As a server that knows only version 0.
    OldGit(Utf8PathBuf),
    /// Wants `Authorization: Basic` with this base64.
    Guarded(Utf8PathBuf, &'static str),
    /// Advertises refs, and says nothing but headers to anything else.
    HangsAfterHeaders(Utf8PathBuf, Hangs),
    /// Answers `GET` with a redirect, by replacing the first text with the second, and serves the rest.
    Redirects(Utf8PathBuf, String, String),
    /// Serves so many requests on each connection, and then says nothing more on it.
    FallsSilent(Utf8PathBuf, usize),
    /// Answers everything with this status and type.
    Says(&'static str, &'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hangs {
    Always,
    OnPost,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    /// One line per request, in order.
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
    /// Bytes of the last answer's body.
    answered: Arc<Mutex<usize>>,
    /// Told when a client leaves a hanging answer.
    left: mpsc::Receiver<()>,
}

struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Clone)]
struct Shared {
    behaviour: Behaviour,
    requests: Arc<Mutex<Vec<String>>>,
    answered: Arc<Mutex<usize>>,
    left: mpsc::Sender<()>,
}

impl Server {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        Self::start_with(behaviour, Some)
    }

    /// `secure` makes what is served of what is accepted.
    pub(crate) fn start_with<S: Read + Write>(
        behaviour: Behaviour,
        secure: impl Fn(TcpStream) -> Option<S> + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, left) = mpsc::channel();
        let shared = Shared {
            behaviour,
            requests: Arc::default(),
            answered: Arc::default(),
            left: sender,
        };
        let (requests, answered) = (shared.requests.clone(), shared.answered.clone());
        let connections = Arc::<Mutex<usize>>::default();
        let counter = connections.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *counter.lock().unwrap() += 1;
                let shared = shared.clone();
                let secure = secure.clone();
                thread::spawn(move || secure(stream).map(|stream| shared.connection(stream)));
            }
        });
        Self {
            port,
            requests,
            connections,
            answered,
            left,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    /// Waits until a request with this method arrives.
    pub(crate) async fn heard(&self, method: &str) {
        while !self
            .requests
            .lock()
            .unwrap()
            .iter()
            .any(|request| request.starts_with(method))
        {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until a client leaves a hanging answer.
    pub(crate) async fn left_by_its_client(self) {
        let left = tokio::task::spawn_blocking(move || self.left.recv_timeout(Duration::from_secs(20)));
        left.await.unwrap().expect("the client goes");
    }

    pub(crate) fn answered(&self) -> usize {
        *self.answered.lock().unwrap()
    }
}

impl Shared {
    fn connection(&self, stream: impl Read + Write) {
        let mut reader = BufReader::new(stream);
        let mut served = 0;
        while let Some(request) = read_request(&mut reader) {
            self.requests
                .lock()
                .unwrap()
                .push(format!("{} {}", request.method, request.target));
            let (status, headers, body) = match &self.behaviour {
                Behaviour::Git(root) => backend(root, &request, request.header("git-protocol")),
                Behaviour::OldGit(root) => backend(root, &request, None),
                Behaviour::Guarded(root, login) => {
                    if request.header("authorization") == Some(&format!("Basic {login}")) {
                        backend(root, &request, request.header("git-protocol"))
                    } else {
                        let challenge = "WWW-Authenticate: Basic realm=\"git\"\r\n".to_owned();
                        ("401 Unauthorized".to_owned(), challenge, Vec::new())
                    }
                }
                Behaviour::HangsAfterHeaders(root, hangs) => {
                    if *hangs == Hangs::Always || request.method == "POST" {
                        let kind = if request.method == "POST" {
                            "result"
                        } else {
                            "advertisement"
                        };
                        let head = format!(
                            "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-{kind}\r\nContent-Length: 1000\r\n\r\n"
                        );
                        reader.get_mut().write_all(head.as_bytes()).unwrap();
                        // Returns when the client has gone.
                        let _ = reader.read_to_end(&mut Vec::new());
                        let _ = self.left.send(());
                        return;
                    }
                    backend(root, &request, None)
                }
                Behaviour::FallsSilent(root, after) => {
                    if served == *after {
                        let _ = reader.read_to_end(&mut Vec::new());
                        return;
                    }
                    backend(root, &request, request.header("git-protocol"))
                }
                Behaviour::Redirects(root, from, to) => {
                    if request.target.contains(from.as_str()) {
                        let location = format!("Location: {}\r\n", request.target.replace(from.as_str(), to));
                        ("301 Moved Permanently".to_owned(), location, Vec::new())
                    } else {
                        backend(root, &request, request.header("git-protocol"))
                    }
                }
                Behaviour::Says(status, kind) => (
                    (*status).to_owned(),
                    format!("Content-Type: {kind}\r\n"),
                    b"<!doctype html>".to_vec(),
                ),
            };
            served += 1;
            *self.answered.lock().unwrap() = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n",
                body.len()
            );
            if reader
                .get_mut()
                .write_all(&[head.as_bytes(), &body].concat())
                .is_err()
            {
                return;
            }
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let first = line(reader)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = line(reader)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request {
        method,
        target,
        headers,
        body: Vec::new(),
    };
    if request.header("transfer-encoding") == Some("chunked") {
        loop {
            let size = u64::from_str_radix(&line(reader)?, 16).ok()?;
            reader.take(size).read_to_end(&mut request.body).ok()?;
            line(reader)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = request
        .header("content-length")
        .and_then(|length| length.parse().ok())
    {
        reader.take(length).read_to_end(&mut request.body).ok()?;
    }
    Some(request)
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
}

/// RFC 3875, as much of it as git wants.
fn backend(root: &Utf8PathBuf, request: &Request, protocol: Option<&str>) -> (String, String, Vec<u8>) {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", request.header("content-type").unwrap_or_default())
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env(
            "HTTP_CONTENT_ENCODING",
            request.header("content-encoding").unwrap_or_default(),
        )
        .envs(protocol.map(|protocol| ("GIT_PROTOCOL", protocol)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let body = request.body.clone();
    let writer = thread::spawn(move || {
        let _ = stdin.write_all(&body);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let end = output
        .stdout
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("CGI headers");
    let (head, body) = output.stdout.split_at(end);
    let mut status = "200 OK".to_owned();
    let mut headers = String::new();
    for line in std::str::from_utf8(head).unwrap().lines() {
        match line.strip_prefix("Status: ") {
            Some(other) => status = other.to_owned(),
            None => headers.push_str(&format!("{line}\r\n")),
        }
    }
    (status, headers, body[4..].to_vec())
}
