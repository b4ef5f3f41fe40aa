//! Debian's registry, running on this machine, and its contents.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The user that a guarded registry accepts.
pub(crate) const USER: &str = "releaser";
pub(crate) const PASSWORD: &str = "correct-horse-7f3a";
/// The line of a file for `htpasswd`: the user and the bcrypt hash of the password.
const HTPASSWD: &str = "releaser:$2b$05$abcdefghijklmnopqrstuuy18BWjL7mtXG8c7nYrJGDJVHyZmRW7K\n";

pub(crate) struct Registry {
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Registry {
    /// Starts an empty registry. It answers anyone, or, if guarded, only the user.
    pub(crate) fn start(folder: &Path, is_guarded: bool) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).expect("a folder");
        let users = folder.join("users");
        fs::write(&users, HTPASSWD).expect("a file");
        let auth = format!("auth: {{htpasswd: {{realm: test, path: '{}'}}}}\n", users.display());
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: '{}'}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n{}",
            folder.join("data").display(),
            if is_guarded { &auth } else { "" },
        );
        fs::write(folder.join("config.yaml"), config).expect("a file");
        let mut registry = Self { folder: folder.to_owned(), port, process: None };
        registry.restart();
        registry
    }

    /// The host in the names of images.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Starts it again, with its contents.
    pub(crate) fn restart(&mut self) {
        let log = fs::File::create(self.folder.join("log")).expect("a file");
        let mut process = Command::new("docker-registry")
            .args(["serve", "config.yaml"])
            .current_dir(&self.folder)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("`docker-registry`; `cargo xtask test` installs it");
        let deadline = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = process.try_wait().expect("a child process");
            assert!(ended.is_none() && Instant::now() < deadline, "the registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("a child process");
            process.wait().expect("a child process");
        }
    }

    /// Every tag and the digest of its manifest, from the registry's files.
    pub(crate) fn tags(&self) -> Vec<(String, String)> {
        let mut tags = Vec::new();
        let root = self.folder.join("data/docker/registry/v2/repositories");
        collect(&root, &root, &mut tags);
        tags.sort();
        tags
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// `a/corveil:2.1.0`, from the file `a/corveil/_manifests/tags/2.1.0/current/link`.
fn collect(root: &Path, folder: &Path, tags: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let link = path.join("current/link");
        if link.is_file() {
            let name = path.strip_prefix(root).expect("a folder below").display().to_string();
            let digest = fs::read_to_string(link).expect("a file");
            tags.push((name.replace("/_manifests/tags/", ":"), digest));
        } else if path.is_dir() {
            collect(root, &path, tags);
        }
    }
}
