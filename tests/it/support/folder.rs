//! Migration folders, written by the test that applies them.

use std::path::Path;

use tempfile::TempDir;

/// A folder of files, removed with the value.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("corveil-migrations-").tempdir().expect("create a folder"))
    }

    /// Adds or overwrites a file.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.put(name, content);
        self
    }

    /// Adds or overwrites a file of a folder that is in use already.
    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), content)
            .unwrap_or_else(|error| panic!("write {name}: {error}"));
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.path().join(name)).unwrap_or_else(|error| panic!("remove {name}: {error}"));
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}
