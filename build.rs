//! Puts the files of `migrations/` into the program, and those of `migrations/schema/`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("migrations");
    embed(
        &files(&folder, "sql"),
        "/// Names and contents of the files in `migrations/`.\nconst EMBEDDED: &[(&str, &[u8])]",
        ("embedded_migrations.rs", "include_bytes", |path| path.file_name()),
    );
    embed(
        &files(&folder.join("schema"), "json"),
        "/// Names and contents of the files in `migrations/schema/`.\nconst SNAPSHOTS: &[(&str, &str)]",
        ("embedded_snapshots.rs", "include_str", |path| path.file_stem()),
    );
}

/// The files of a folder with this ending, by name.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    // Cargo looks at the folder's own time stamp and at each file in it.
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the folder is part of the sources")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    files.sort();
    files
}

type Name = fn(&PathBuf) -> Option<&std::ffi::OsStr>;

fn embed(files: &[PathBuf], constant: &str, (target, include, name): (&str, &str, Name)) {
    let mut code = format!("{constant} = &[\n");
    for path in files {
        let name = name(path).and_then(|name| name.to_str()).expect("an UTF-8 name");
        writeln!(code, "    ({name:?}, {include}!({:?})),", path.display().to_string())
            .expect("writing to a string");
    }
    code.push_str("];\n");
    let target = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join(target);
    fs::write(target, code).expect("a writable OUT_DIR");
}
