//! A mail server that answers as a test wants it to: enough of SMTP (RFC 5321) to take a message.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How recipients are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Not at all: connections stay open and silent.
    Silence,
    /// 250.
    Accept,
    /// 451.
    NotNow,
    /// 550.
    Never,
}

/// The server. Dropped: gone with the test's runtime.
#[derive(Debug)]
pub(crate) struct MailServer {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    answer: Mutex<Answer>,
    callers: Mutex<usize>,
    messages: Mutex<Vec<String>>,
}

impl MailServer {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State {
            answer: Mutex::new(answer),
            callers: Mutex::default(),
            messages: Mutex::default(),
        };
        let state = Arc::new(state);
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    /// Settings of the programs that send by it.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PYTAKE_MAIL__TRANSPORT", "smtp".to_owned()),
            ("PYTAKE_MAIL__SMTP_URL", format!("smtp://{}", self.address)),
        ]
    }

    /// Answers so from now on.
    pub(crate) fn answer(&self, answer: Answer) {
        *self.state.answer.lock().expect("no panic while it is held") = answer;
    }

    /// How many have connected.
    pub(crate) fn callers(&self) -> usize {
        *self.state.callers.lock().expect("no panic while it is held")
    }

    /// What was taken.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.state.messages.lock().expect("no panic while it is held").clone()
    }
}

impl State {
    fn answer(&self) -> Answer {
        *self.answer.lock().expect("no panic while it is held")
    }
}

async fn converse(stream: TcpStream, state: Arc<State>) -> std::io::Result<()> {
    *state.callers.lock().expect("no panic while it is held") += 1;
    if state.answer() == Answer::Silence {
        std::future::pending::<()>().await;
    }
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 ready\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let reply = match (verb.as_str(), state.answer()) {
            ("EHLO", _) => "250-here\r\n250 8BITMIME",
            ("RCPT", Answer::NotNow) => "451 4.7.1 greylisted, come back",
            ("RCPT", Answer::Never) => "550 5.1.1 nobody of that name",
            ("DATA", _) => {
                write.write_all(b"354 go on\r\n").await?;
                let mut message = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    message.push_str(&line);
                    message.push('\n');
                }
                state.messages.lock().expect("no panic while it is held").push(message);
                "250 taken"
            }
            ("QUIT", _) => "221 bye",
            _ => "250 fine",
        };
        write.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
    Ok(())
}
