//! Puts the files of `migrations/` into the program.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("migrations");
    // Cargo looks at the folder's own time stamp and at each file in it.
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("migrations/ is part of the sources")
        .map(|entry| entry.expect("a readable folder").file_name().into_string().expect("an UTF-8 name"))
        .filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "sql"))
        .collect();
    names.sort();
    let mut code = String::from("/// Names and contents of the files in `migrations/`.\n");
    code.push_str("const EMBEDDED: &[(&str, &[u8])] = &[\n");
    for name in names {
        let path = folder.join(&name);
        writeln!(code, "    ({name:?}, include_bytes!({:?})),", path.display().to_string())
            .expect("writing to a string");
    }
    code.push_str("];\n");
    let target = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("embedded_migrations.rs");
    fs::write(target, code).expect("a writable OUT_DIR");
}
