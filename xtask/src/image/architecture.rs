//! The architectures of the image, and what this machine needs to compile for each.

use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use xshell::{Cmd, Shell, cmd};

use crate::project::packages::{install, missing};

/// The names that Go, and so every container tool, uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Architecture {
    Amd64,
    Arm64,
}

impl Architecture {
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The architecture of this machine.
    pub fn native() -> Result<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self::Amd64),
            "aarch64" => Ok(Self::Arm64),
            other => bail!("no images are built on {other}\nhint: build on x86_64 or aarch64"),
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The name that Rust uses.
    pub const fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The name of Debian's cross compiler for it, and the packages of the compiler and the C library.
    const fn cross(self) -> (&'static str, [&'static str; 2]) {
        match self {
            Self::Amd64 => ("x86_64-linux-gnu-gcc", ["gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"]),
            Self::Arm64 => ("aarch64-linux-gnu-gcc", ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"]),
        }
    }

    /// Installs what compiling for it needs: nothing on a machine of that architecture.
    pub fn ensure(self, sh: &Shell) -> Result<()> {
        if self == Self::native()? {
            return Ok(());
        }
        let (compiler, [package, library]) = self.cross();
        let packages = if missing(&[(compiler, package)]).is_empty() { &[][..] } else { &[package, library] };
        let name = self.name();
        install(
            sh,
            packages,
            &format!(
                "an image for {name} needs `{compiler}` and its C library, which are packages of Debian and Ubuntu\n\
                 hint: build on one of them, or use `--native` to build only for this machine"
            ),
        )?;
        let (target, sysroot) = (self.target(), cmd!(sh, "rustc --print sysroot").quiet().read()?);
        if Path::new(&sysroot).join("lib/rustlib").join(target).join("lib").is_dir() {
            return Ok(());
        }
        let added = cmd!(sh, "rustup target add {target}").run();
        added.with_context(|| {
            format!("Rust's standard library for {name} is missing, and adding it with `rustup` failed")
        })
    }

    /// Sets the compiler for this architecture in a build.
    pub fn compile(self, build: Cmd) -> Result<Cmd> {
        if self == Self::native()? {
            return Ok(build);
        }
        let (compiler, _) = self.cross();
        let variable = self.target().replace('-', "_");
        Ok(build
            .env(format!("CARGO_TARGET_{}_LINKER", variable.to_uppercase()), compiler)
            .env(format!("CC_{variable}"), compiler))
    }
}
