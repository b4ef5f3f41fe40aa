//! The credentials for a push, from Docker's configuration, where `docker login` and every CI write them, and never from an
//! argument.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::Cmd;

/// The variable in which some CIs have the contents of the file.
const CONTENTS: &str = "DOCKER_AUTH_CONFIG";

/// The variable with the folder of the file.
const FOLDER: &str = "DOCKER_CONFIG";

/// A file in Docker's format; none for a registry without authentication.
pub(super) struct Credentials {
    file: Option<PathBuf>,
    /// Whether this run wrote the file, and has to remove it.
    is_temporary: bool,
}

impl Credentials {
    pub(super) fn find(folder: &Path) -> Result<Self> {
        let own = folder.join("credentials.json");
        // A killed run left it.
        let _ = fs::remove_file(&own);
        if let Some(contents) = std::env::var_os(CONTENTS) {
            let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&own);
            let written = file.and_then(|mut file| file.write_all(contents.as_encoded_bytes()));
            written.with_context(|| format!("write {}", own.display()))?;
            return Ok(Self { file: Some(own), is_temporary: true });
        }
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker"));
        let docker = std::env::var_os(FOLDER).map(PathBuf::from).or_else(home);
        let file = docker.map(|docker| docker.join("config.json")).filter(|file| file.is_file());
        Ok(Self { file, is_temporary: false })
    }

    /// The argument for skopeo.
    pub(super) fn argument(&self) -> Vec<String> {
        self.file.iter().flat_map(|file| ["--authfile".to_owned(), file.display().to_string()]).collect()
    }

    /// The environment for Helm, whose own configuration file would otherwise have priority.
    pub(super) fn environment<'a>(&self, command: Cmd<'a>) -> Cmd<'a> {
        match &self.file {
            Some(file) => command.env("HELM_REGISTRY_CONFIG", file),
            None => command,
        }
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        if let (true, Some(file)) = (self.is_temporary, &self.file) {
            // If this fails, the next run removes it.
            let _ = fs::remove_file(file);
        }
    }
}
