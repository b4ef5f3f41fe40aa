//! Builds corveil, and the programs it is compared with once each, below `target/bench-tools`.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::bench::program::{Kind, Program};
use crate::bench::{report, server};

/// What can be run, corveil last, and what cannot, with the reason.
pub(crate) struct Installed {
    pub(crate) programs: Vec<Program>,
    pub(crate) absent: Vec<(Kind, String)>,
}

/// A program that Cargo or Go builds from its pinned source, with PostgreSQL and nothing else in it.
struct Peer {
    kind: Kind,
    version: &'static str,
    program: &'static str,
    source: Source,
}

enum Source {
    Cargo { package: &'static str, features: &'static str },
    Go { package: &'static str, tags: &'static str },
}

const PEERS: [Peer; 4] = [
    Peer {
        kind: Kind::Sqlx,
        version: "0.9.0",
        program: "sqlx",
        source: Source::Cargo { package: "sqlx-cli", features: "postgres" },
    },
    Peer {
        kind: Kind::Refinery,
        version: "0.10.0",
        program: "refinery",
        source: Source::Cargo { package: "refinery_cli", features: "postgresql" },
    },
    Peer {
        kind: Kind::Goose,
        version: "3.29.0",
        program: "goose",
        source: Source::Go {
            package: "github.com/pressly/goose/v3/cmd/goose",
            tags: "no_azuresql,no_clickhouse,no_libsql,no_mssql,no_mysql,no_sqlite3,no_vertica,no_ydb",
        },
    },
    Peer {
        kind: Kind::GolangMigrate,
        version: "4.20.1",
        program: "migrate",
        source: Source::Go { package: "github.com/golang-migrate/migrate/v4/cmd/migrate", tags: "postgres" },
    },
];

pub(crate) fn all() -> anyhow::Result<Installed> {
    let shell = Shell::new()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent folder")?;
    shell.change_dir(root);
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);

    let mut programs = vec![psql(&shell)?];
    let mut absent = Vec::new();
    for peer in &PEERS {
        match peer.install(&shell, &target.join("bench-tools")) {
            Ok(path) => programs.push(Program { kind: peer.kind, path, version: peer.version.to_owned() }),
            Err(reason) => absent.push((peer.kind, format!("{reason:#}"))),
        }
    }
    programs.push(corveil(&shell, &target)?);
    Ok(Installed { programs, absent })
}

/// psql prints `psql (PostgreSQL) 15.18 (Debian …)`.
fn psql(shell: &Shell) -> anyhow::Result<Program> {
    let path = server::programs()?.join("psql");
    let printed = cmd!(shell, "{path} --version").read()?;
    let version = printed.split_whitespace().nth(2).unwrap_or("unknown").to_owned();
    Ok(Program { kind: Kind::Psql, path, version })
}

/// As the container has it: optimized, stripped, without the embedded server.
fn corveil(shell: &Shell, target: &Path) -> anyhow::Result<Program> {
    report::say("building corveil")?;
    let mut build = cmd!(
        shell,
        "cargo build --quiet --release --locked --no-default-features --bin corveil --target-dir {target}"
    );
    // Cargo describes xtask to us in these, and the build script of `ring` builds anew whenever they change.
    for (name, _) in
        env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR")
    {
        build = build.env_remove(name);
    }
    build.quiet().run()?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Program { kind: Kind::Corveil, path: target.join("release/corveil"), version })
}

impl Peer {
    /// A folder per version, so that a new pin builds anew and an old one stays.
    fn install(&self, shell: &Shell, tools: &Path) -> anyhow::Result<PathBuf> {
        let Self { kind, version, program, source } = self;
        let root = tools.join(format!("{}-{version}", kind.name()));
        let path = root.join("bin").join(program);
        if path.exists() {
            return Ok(path);
        }
        report::say(&format!("building {} {version}, once", kind.name()))?;
        match source {
            Source::Cargo { package, features } => {
                let build = tools.join("build");
                cmd!(shell, "cargo install --quiet --locked --root {root} --target-dir {build} --no-default-features --features {features} {package}@{version}")
                    .quiet()
                    .run()
                    .with_context(|| format!("{package} {version} cannot be built"))?;
            }
            Source::Go { package, tags } => {
                cmd!(shell, "go version").quiet().ignore_stdout().run().context("Go is not here")?;
                cmd!(shell, "go install -trimpath -ldflags '-s -w' -tags {tags} {package}@v{version}")
                    .env("GOBIN", root.join("bin"))
                    .env("CGO_ENABLED", "0")
                    .quiet()
                    .run()
                    .with_context(|| format!("{package} {version} cannot be built"))?;
            }
        }
        Ok(path)
    }
}
