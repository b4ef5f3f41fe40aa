//! Builds corveil, and once each of the programs that it is compared with, below `target/bench-tools`.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::bench::case::Case;
use crate::bench::program::{Kind, Program};
use crate::bench::report;
use crate::postgres::server;
use crate::project::cargo::cargo;

/// The programs that can run, corveil last, and those that cannot, with the reason.
pub(crate) struct Installed {
    pub(crate) programs: Vec<Program>,
    pub(crate) absent: Vec<(Kind, String)>,
}

/// A program that Cargo or Go builds from its pinned source, with support for PostgreSQL only.
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
        // The features that its README lists for PostgreSQL alone. Like all the others it supports TLS, which none uses here.
        source: Source::Cargo { package: "sqlx-cli", features: "native-tls,postgres" },
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

/// Builds the other programs only where a case measures them.
pub(crate) fn all(sh: &Shell, cases: &[Case]) -> anyhow::Result<Installed> {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let target = sh.current_dir().join(target);

    let mut programs = vec![psql(sh)?];
    let mut absent = Vec::new();
    let peers = if cases.iter().all(|case| case.is_only_corveils()) { &[][..] } else { &PEERS[..] };
    for peer in peers {
        match peer.install(sh, &target.join("bench-tools")) {
            Ok(path) => programs.push(Program { kind: peer.kind, path, version: peer.version.to_owned() }),
            Err(reason) => absent.push((peer.kind, format!("{reason:#}"))),
        }
    }
    programs.push(corveil(sh, &target)?);
    Ok(Installed { programs, absent })
}

/// psql prints `psql (PostgreSQL) 15.18 (Debian …)`.
fn psql(sh: &Shell) -> anyhow::Result<Program> {
    let path = server::programs()?.join("psql");
    let printed = cmd!(sh, "{path} --version").read()?;
    let version = printed.split_whitespace().nth(2).unwrap_or("unknown").to_owned();
    Ok(Program { kind: Kind::Psql, path, version })
}

/// The program as it is in the image: optimized, stripped, without the embedded server.
fn corveil(sh: &Shell, target: &Path) -> anyhow::Result<Program> {
    report::progress("building corveil")?;
    cargo(sh, &["build", "--quiet", "--release", "--locked", "--no-default-features", "--bin", "corveil"])
        .env("CARGO_TARGET_DIR", target)
        .quiet()
        .run()?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Program { kind: Kind::Corveil, path: target.join("release/corveil"), version })
}

impl Peer {
    /// A folder per version, so that a new pin is built and an old build stays.
    fn install(&self, sh: &Shell, tools: &Path) -> anyhow::Result<PathBuf> {
        let Self { kind, version, program, source } = self;
        let root = tools.join(format!("{}-{version}", kind.name()));
        let path = root.join("bin").join(program);
        if path.exists() {
            return Ok(path);
        }
        report::progress(&format!("building {} {version}, once", kind.name()))?;
        match source {
            Source::Cargo { package, features } => {
                let exact = format!("{package}@{version}");
                let features = ["--no-default-features", "--features", features, &exact];
                cargo(sh, &["install", "--quiet", "--locked"])
                    .args(features)
                    .arg("--root")
                    .arg(&root)
                    .env("CARGO_TARGET_DIR", tools.join("build"))
                    .quiet()
                    .run()
                    .with_context(|| format!("{exact} cannot be built"))?;
            }
            Source::Go { package, tags } => {
                cmd!(sh, "go version").quiet().ignore_stdout().run().context("Go is not installed")?;
                cmd!(sh, "go install -trimpath -ldflags '-s -w' -tags {tags} {package}@v{version}")
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
