//! Whole answers, as they come over a connection: these bytes and then its end.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use std::{fs, thread};

use spot_guard::config::{self, Imds, Kubernetes, Mode, Webhook};
use spot_guard::imds::{Client, INSTANCE_ACTION};
use spot_guard::kubernetes::{Api, Keeper, WatchEnd};
use spot_guard::objects::{Answer, PodId};
use spot_guard::record::{self, Stage};
use spot_guard::secret::Secret;
use spot_guard::webhook::{self, News};

use super::assert_message;
use super::times::assert_read_back;

const TOKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntoken";
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
const NODE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{\"kind\":\"Node\",\"a\":1}\n";

/// The answer to a question for an item; the token is good.
pub fn metadata_answer(data: &[u8]) {
    static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
    SERVER.answer(TOKEN, data);
    match client(&SERVER).get(INSTANCE_ACTION) {
        Ok(Some(item)) => {
            assert!(item.body.len() <= 64 * 1024);
            item.date.into_iter().for_each(assert_read_back);
        }
        Ok(None) => {}
        Err(error) => assert_message(&error.to_string()),
    }
}

/// The answer to the question for a token.
pub fn metadata_token(data: &[u8]) {
    static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
    SERVER.answer(data, NOT_FOUND);
    match client(&SERVER).get(INSTANCE_ACTION) {
        Ok(item) => assert_eq!(item, None),
        Err(error) => assert_message(&error.to_string()),
    }
}

fn client(server: &Server) -> Client {
    Client::new(&Imds { endpoint: server.url(), timeout: Duration::from_secs(5), ..config::built_in().imds })
}

/// The API server's answer to each sort of request: one that is read, one that is not, a watch.
pub fn api_answer(data: &[u8]) {
    static SERVER: LazyLock<(Server, Arc<Api>)> = LazyLock::new(|| {
        let server = Server::start();
        server.answer(NODE, NODE);
        let api = api(&server);
        (server, api)
    });
    let (server, api) = &*SERVER;
    server.answer(data, data);
    let mut answers = vec![api.evict(&PodId { namespace: "a".into(), name: "b".into(), uid: "c".into() }, None)];
    answers.extend(api.read_node().err());
    let mut news = 0;
    let end = api.watch_pods(&mut |_| {
        news += 1;
        true
    });
    assert!(news <= 400 * data.len());
    match end {
        WatchEnd::Refused(refusal) => answers.push(Answer::Refused(refusal)),
        WatchEnd::Nothing(why) => answers.push(Answer::Nothing(why)),
        WatchEnd::Closed | WatchEnd::Ended => {}
    }
    for answer in answers {
        match answer {
            Answer::Refused(refusal) => assert_message(&refusal.message),
            Answer::Nothing(why) => assert_message(&why),
            Answer::Accepted => {}
        }
    }
}

/// What a webhook is answered.
pub fn webhook_answer(data: &[u8]) {
    static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
    SERVER.answer(data, data);
    let record = record::read(include_bytes!("../corpus/record/response-2")).unwrap();
    let url = Some(Secret::new(format!("{}/s3cr3t", SERVER.url())));
    let settings = Webhook { url, ..Webhook::default() };
    let news = News { stage: Stage::End, record: &record, left: Duration::ZERO };
    let why = match webhook::send(&settings, &news, Duration::from_secs(5)) {
        Answer::Accepted => return,
        Answer::Refused(refusal) => refusal.message,
        Answer::Nothing(why) => why,
    };
    assert_message(&why);
    assert!(!why.contains("s3cr3t"), "{why}");
}

/// Gained as the daemon gains it: from a kubeconfig, and a node that the server shows.
fn api(server: &Server) -> Arc<Api> {
    let path = kubeconfig(server);
    let settings = Kubernetes {
        mode: Mode::Required,
        kubeconfig: Some(path.clone()),
        node_name: Some("n".to_owned()),
        ..config::built_in().kubernetes
    };
    let (told, heard) = channel();
    let keeper = Keeper::start(&settings, false, || Some("i-1".to_owned()), move |standing| drop(told.send(standing)));
    let mut standing = None;
    while keeper.api().is_none() {
        standing = Some(heard.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("{standing:?}")));
    }
    fs::remove_file(path).unwrap();
    keeper.api().unwrap()
}

fn kubeconfig(server: &Server) -> PathBuf {
    let path = std::env::temp_dir().join(format!("spot-guard-fuzz-{}.kubeconfig", std::process::id()));
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: '{}'}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n",
        server.url()
    );
    fs::write(&path, text).unwrap();
    path
}

/// Answers each request with given bytes, and ends the connection.
struct Server {
    port: u16,
    answers: Arc<Mutex<Answers>>,
}

#[derive(Default)]
struct Answers {
    to_put: Vec<u8>,
    to_others: Vec<u8>,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: Arc<Mutex<Answers>> = Arc::default();
        let theirs = Arc::clone(&answers);
        thread::spawn(move || {
            // One at a time: a client that has gone is noticed at once.
            listener.incoming().flatten().for_each(|connection| drop(serve(connection, &theirs)));
        });
        Server { port, answers }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn answer(&self, to_put: &[u8], to_others: &[u8]) {
        *self.answers.lock().unwrap() = Answers { to_put: to_put.to_owned(), to_others: to_others.to_owned() };
    }
}

fn serve(mut connection: TcpStream, answers: &Mutex<Answers>) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
    // Read whole: what is left unread when the connection ends would cost the client the answer.
    while !is_whole(&request) {
        match connection.read(&mut chunk)? {
            0 => return Ok(()),
            read => request.extend_from_slice(&chunk[..read]),
        }
    }
    let answer = {
        let answers = answers.lock().unwrap();
        if request.starts_with(b"PUT ") { answers.to_put.clone() } else { answers.to_others.clone() }
    };
    connection.write_all(&answer)?;
    connection.shutdown(Shutdown::Write)?;
    Ok(())
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    request.len() >= end + 4 + length.unwrap_or(0)
}
