//! The `Dockerfile` gives its image the settings that `cargo xtask image` gives.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::image::archive::{Defaults, Exposed};
use crate::image::product;

/// What the instructions after the last `FROM` say about how the image runs.
fn defaults(dockerfile: &str) -> Result<Defaults> {
    let lines: Vec<_> = dockerfile.lines().filter(|line| !line.starts_with('#')).collect();
    let last = lines.iter().rposition(|line| line.starts_with("FROM ")).context("no `FROM`")?;
    let mut defaults = Defaults::default();
    for line in lines[last + 1..].iter().filter(|line| !line.is_empty()) {
        let (instruction, rest) = line.split_once(' ').with_context(|| format!("`{line}`"))?;
        match instruction {
            "USER" => rest.clone_into(&mut defaults.user),
            "WORKDIR" => rest.clone_into(&mut defaults.working_dir),
            "ENV" => defaults.env.push(rest.to_owned()),
            "CMD" => defaults.cmd = serde_json::from_str(rest)?,
            "ENTRYPOINT" => defaults.entrypoint = serde_json::from_str(rest)?,
            "EXPOSE" => drop(defaults.exposed_ports.insert(rest.to_owned(), Exposed {})),
            "LABEL" => {
                let (name, value) = rest.split_once('=').with_context(|| format!("`{line}`"))?;
                defaults.labels.insert(name.to_owned(), serde_json::from_str(value)?);
            }
            "COPY" => {}
            _ => bail!("`{line}`: an instruction that the comparison does not know"),
        }
    }
    Ok(defaults)
}

#[test]
fn the_dockerfile_has_the_same_settings() {
    let text = std::fs::read_to_string(crate::project::root().join("Dockerfile")).expect("a Dockerfile");
    assert_eq!(defaults(&text).expect("a Dockerfile"), product::defaults());
}

#[test]
fn only_the_last_stage_counts() {
    let text = "FROM a AS b\nUSER 1\nFROM scratch\n# USER 2\nCOPY --from=b /a /\n\nUSER 3\nLABEL a=\"b c\"\n";
    let read = defaults(text).expect("a Dockerfile");
    let labels = BTreeMap::from([("a".to_owned(), "b c".to_owned())]);
    assert_eq!(read, Defaults { user: "3".to_owned(), labels, ..Defaults::default() });
    assert!(defaults("FROM scratch\nVOLUME /a\n").is_err());
}
