//! Describes the machine of a run: ratios too depend on the disk and the server.

use std::fs;
use std::path::Path;
use std::thread;

use xshell::{Shell, cmd};

use crate::bench::program::Program;
use crate::postgres::server::Server;

/// Names and values, in the order in which they are printed.
pub(crate) struct Machine(pub(crate) Vec<(String, String)>);

impl Machine {
    pub(crate) fn inspect(sh: &Shell, server: &Server, programs: &[Program]) -> anyhow::Result<Self> {
        let folder = server.folder();
        let cores = thread::available_parallelism()?;
        let mut facts = vec![
            ("Processor".to_owned(), format!("{cores} × {}", processor())),
            ("Load average at the start".to_owned(), load()),
            ("Kernel".to_owned(), kernel()),
            (
                "File system of the data".to_owned(),
                cmd!(sh, "stat --file-system --format=%T {folder}").read()?,
            ),
            ("PostgreSQL server".to_owned(), server.sql("postgres", &["SHOW server_version"])?),
        ];
        facts.extend(programs.iter().map(|it| (it.kind.name().to_owned(), it.version.clone())));
        Ok(Self(facts))
    }
}

/// The kernel's version, without the suffix of its builder.
fn kernel() -> String {
    let release = line(Path::new("/proc/sys/kernel/osrelease"));
    release.split('-').next().unwrap_or_default().to_owned()
}

fn processor() -> String {
    let info = line(Path::new("/proc/cpuinfo"));
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

/// The load average of the last minute. Ratios from a busy machine are less reliable.
fn load() -> String {
    let averages = line(Path::new("/proc/loadavg"));
    averages.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn line(file: &Path) -> String {
    fs::read_to_string(file).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}
