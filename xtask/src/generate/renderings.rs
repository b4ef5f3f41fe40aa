//! `chart/ci/snapshots`: what Helm renders, so that a reviewer sees what a change of the chart does.

use std::path::Path;

use anyhow::Result;
use xshell::Shell;

use crate::generate::{Files, HEADER};
use crate::render;
use crate::tools::{self, Tool};

/// Where the snapshots are.
pub const FOLDER: &str = "chart/ci/snapshots";

/// What Helm renders in each case, next to the files of values in `chart/ci`.
pub fn files(sh: &Shell) -> Result<Files> {
    let helm = tools::path(sh, Tool::Helm4)?;
    let mut files = Files::new();
    for case in render::cases()? {
        let text = render::template(sh, &helm, &case)?;
        // Helm 3 and 4 put different numbers of empty lines between documents.
        let text = text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n");
        let path = Path::new(FOLDER).join(format!("{}.yaml", case.name()));
        files.push((path, format!("# {HEADER}\n{text}\n")));
    }
    Ok(files)
}
