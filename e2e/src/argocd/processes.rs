//! The components as processes of this machine. Each has the state's folder in its environment, and its child processes
//! inherit it. A later call finds all of them by it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::argocd::components::{self, Component, Probe};
use crate::argocd::layout::Layout;
use xtask::project::tail::tail;

/// The environment variable that marks the components' processes.
const MARK: &str = "CORVEIL_ARGOCD_STATE";

/// A cold disk takes a while to read a large program four times.
const BOUND: Duration = Duration::from_mins(1);

/// How long a component may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// Short enough to lose no time, long enough to leave the processors to the components.
const POLL: Duration = Duration::from_millis(100);

/// A started component.
pub(crate) struct Running {
    name: &'static str,
    process: Child,
    probe: Probe,
}

pub(crate) fn start(state: &Layout, components: &[Component]) -> Result<Vec<Running>> {
    components.iter().map(|component| start_one(state, component)).collect()
}

fn start_one(state: &Layout, component: &Component) -> Result<Running> {
    let Component { name, program, arguments, probe } = component;
    let log = File::create(state.log(name))?;
    // Closing the terminal must not end it.
    let process = Command::new("setsid")
        .arg(program)
        .args(arguments)
        .env_clear()
        .envs(components::environment(state))
        .env(MARK, &state.folder)
        .current_dir(&state.folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    Ok(Running { name, process, probe: *probe })
}

/// Waits until all of them answer.
pub(crate) fn wait_for(state: &Layout, running: &mut [Running]) -> Result<()> {
    let start = Instant::now();
    for Running { name, process, probe } in running {
        while !answers(probe) {
            if let Some(status) = process.try_wait()? {
                bail!("`{name}` ended: {status}; {}", tail(&state.log(name)));
            }
            if start.elapsed() > BOUND {
                bail!("`{name}` did not answer within {} s; {}", BOUND.as_secs(), tail(&state.log(name)));
            }
            thread::sleep(POLL);
        }
    }
    Ok(())
}

fn answers(probe: &Probe) -> bool {
    let (port, question) = match probe {
        Probe::Redis(port) => (*port, "PING\r\n".to_owned()),
        Probe::Http(port, path) => (*port, format!("GET {path} HTTP/1.0\r\n\r\n")),
    };
    let answer = ask(port, &question).unwrap_or_default();
    match probe {
        Probe::Redis(_) => answer.starts_with("+PONG"),
        Probe::Http(..) => answer.split(' ').nth(1) == Some("200"),
    }
}

/// Returns the beginning of the answer.
fn ask(port: u16, question: &str) -> std::io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, POLL)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(question.as_bytes())?;
    let mut answer = [0; 64];
    let length = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// The ids of the processes with this state's mark, with those that a component has started.
pub(crate) fn running(state: &Layout) -> Vec<String> {
    let mark = [MARK.as_bytes(), b"=", state.folder.as_os_str().as_bytes()].concat();
    let is_marked = |id: &str| {
        // The process may have ended since, or belong to another user.
        let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && is_marked(name)).collect()
}

/// Ends every component: by SIGTERM, and after [`GRACE`] by SIGKILL.
pub(crate) fn end(state: &Layout) -> Result<()> {
    let start = Instant::now();
    loop {
        let ids = running(state);
        if ids.is_empty() {
            return Ok(());
        }
        if start.elapsed() > 2 * GRACE {
            bail!("processes {} do not end", ids.join(", "));
        }
        let signal = if start.elapsed() < GRACE { "-TERM" } else { "-KILL" };
        // A process that has ended meanwhile is no error.
        Command::new("sh")
            .args(["-c", "kill \"$@\"", "kill", signal])
            .args(ids.iter().map(OsStr::new))
            .stderr(Stdio::null())
            .status()
            .context("start `sh`")?;
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_process_is_found_and_ended_and_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = Layout { folder: folder.path().to_owned() };
        let sleep = |folder: &std::path::Path| {
            Command::new("sleep").arg("60").env(MARK, folder).spawn().expect("`sleep` is everywhere")
        };
        let mut marked = sleep(&state.folder);
        let mut other = sleep(&state.folder.join("other"));
        // The environment is the caller's until `exec` has replaced the program.
        let found = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(10));
            running(&state) == [marked.id().to_string()]
        });
        assert!(found, "{:?}", running(&state));
        // A process that has ended and was not waited for has no environment any more.
        end(&state).expect("it ends");
        assert!(!marked.wait().expect("it is a child").success());
        assert!(other.try_wait().expect("it is a child").is_none());
        other.kill().expect("it runs");
        other.wait().expect("it is a child");
    }
}
