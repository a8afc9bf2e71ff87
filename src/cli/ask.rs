//! Asks a running guard, and passes on what it says.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Failed, complain};
use crate::config::SOCKET_DEFAULT;
use crate::control::Request;
use crate::control::client;
use crate::daemon;
use crate::limits::{CLIENT_ANSWER_BYTES_MAX, CLIENT_SECONDS};
use crate::sys::{Fault, unix};

/// Where the guard listens: where the command line says, else its configuration.
pub(super) fn socket(socket: Option<PathBuf>, config: Option<&Path>) -> Result<PathBuf, Failed> {
    if let Some(socket) = socket {
        return Ok(socket);
    }
    match daemon::load(config) {
        Ok((config, _)) => Ok(config.socket.into()),
        // Who asks may not be allowed to read it, and a guard runs on when its file is being edited.
        Err(_) if config.is_none() && Path::new(SOCKET_DEFAULT).exists() => Ok(SOCKET_DEFAULT.into()),
        Err(error) => Err(error.into()),
    }
}

/// Asks one thing after another, which are written in the words of the command line. The exit code is the greatest of
/// the answers' codes: 0 done, 1 not done, 2 wrong usage or configuration.
pub(super) fn ask(path: &Path, requests: &[String]) -> Result<ExitCode, Failed> {
    let parsed = requests.iter().map(|request| Request::parse(request.as_bytes()));
    let parsed: Vec<Request> = parsed
        .collect::<Result<_, _>>()
        .map_err(|wrong| Failed::Usage(wrong.to_string()))?;
    let mut worst = client::DONE;
    for request in parsed {
        let bytes = exchange(path, &request)?;
        let Some((code, text)) = client::open(&bytes) else {
            let source = io::Error::new(io::ErrorKind::UnexpectedEof, "the answer was cut off");
            return Err(trouble("cannot ask sipguard at", path, source));
        };
        if code == client::DONE {
            let written = io::stdout().write_all(text);
            written.map_err(|source| Fault::new("cannot write to standard output", source))?;
        } else {
            complain(&String::from_utf8_lossy(text));
        }
        worst = worst.max(code);
    }
    Ok(ExitCode::from(worst))
}

/// Sends one request and reads all of its answer, before anything of it is shown: whoever reads what we print may do
/// so slowly, and the guard does not wait for him.
fn exchange(path: &Path, request: &Request) -> Result<Vec<u8>, Failed> {
    let mut stream = unix::connect(path, CLIENT_SECONDS).map_err(|source| {
        let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&source.kind());
        let doing = if nobody {
            "sipguard is not running; nobody listens at"
        } else {
            "cannot ask sipguard at"
        };
        trouble(doing, path, source)
    })?;
    // Who is turned away may be so before this is written; the answer tells why.
    let _ = stream.write_all(format!("{request}\n").as_bytes());
    let mut bytes = Vec::new();
    let read = stream.take(CLIENT_ANSWER_BYTES_MAX).read_to_end(&mut bytes);
    match read {
        Ok(_) => Ok(bytes),
        Err(_) if client::open(&bytes).is_some() => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let source = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
            Err(trouble("cannot ask sipguard at", path, source))
        }
        Err(source) => Err(trouble("cannot ask sipguard at", path, source)),
    }
}

fn trouble(doing: &str, path: &Path, source: io::Error) -> Failed {
    Fault::new(format!("{doing} {}", path.display()), source).into()
}
