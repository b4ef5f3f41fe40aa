//! Where the migration files are: in a folder, or in the program itself.

use std::fs;
use std::path::Path;

use crate::config::secret;
use crate::core::catalog::Catalog;
use crate::error::{Error, Result};
use crate::memory;

include!(concat!(env!("OUT_DIR"), "/embedded_migrations.rs"));

/// Reads the migrations of a folder, or the embedded ones.
///
/// # Errors
/// [`Error::Config`] for a folder that cannot be read or holds no migration, [`Error::Refused`] for names that cannot
/// be.
pub fn load(folder: Option<&Path>) -> Result<Catalog> {
    let Some(folder) = folder else {
        // Its files are public.
        let files = EMBEDDED.iter().map(|(name, bytes)| ((*name).to_owned(), Ok(bytes.to_vec())));
        return Catalog::from_files(files).map_err(Error::Refused);
    };
    let unreadable = |e: std::io::Error| {
        Error::config(
            format!("the folder of migrations `{}` cannot be read: {e}", folder.display()),
            "give `--source` a folder of files such as `0001_create_users.sql`",
        )
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        // Links are followed, as Kubernetes mounts the files of a ConfigMap. A file that is no link needs no further call.
        let is_file = match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => kind.is_file(),
            _ => fs::metadata(&path).map_or(true, |metadata| metadata.is_file()),
        };
        if !is_file {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        // Files that cannot be migrations are not read: one of them may be large, or a secret.
        let is_sql = name.to_ascii_lowercase().ends_with(".sql");
        let bytes = if is_sql { fs::read(&path).map_err(|e| e.to_string()) } else { Ok(Vec::new()) };
        files.push((name, bytes));
    }
    for bytes in files.iter().filter_map(|(_, bytes)| bytes.as_ref().ok()) {
        memory::expect(bytes.len() as u64);
        // Reading all of it as text with errors in it would take several times as long.
        match str::from_utf8(bytes) {
            Ok(sql) => secret::learn(sql),
            Err(_) => secret::learn(&String::from_utf8_lossy(bytes)),
        }
    }
    let mut catalog = Catalog::from_files(files).map_err(Error::Refused)?;
    catalog.folder = Some(folder.display().to_string());
    if catalog.migrations().is_empty() {
        return Err(Error::config(
            format!("the folder `{}` holds no migration", folder.display()),
            "give `--source` a folder of files such as `0001_create_users.sql`",
        ));
    }
    Ok(catalog)
}
