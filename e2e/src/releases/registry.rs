//! Runs a registry on the loopback of this machine and on that of the cluster's node, under one address.
//!
//! Two processes share one folder. An address that both this machine and the node reach would be open to other machines too.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::cluster::{self, Provider};
use crate::wait::until;
use xtask::project::tail::tail;
use xtask::test;

pub(crate) struct Registry {
    port: u16,
    processes: Vec<Child>,
}

impl Registry {
    /// Starts an empty registry.
    pub(crate) fn start(sh: &Shell, folder: &Path, provider: Provider) -> Result<Self> {
        test::registry(sh)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        sh.remove_path(folder)?;
        sh.create_dir(folder)?;
        let config = folder.join("config.yaml");
        // No cache: each process has to find what is pushed to the other.
        let text = format!(
            "version: 0.1\nlog: {{level: warn, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: '{}'}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            folder.join("data").display()
        );
        fs::write(&config, text)?;
        let mut registry = Self { port, processes: Vec::new() };

        let log = folder.join("machine.log");
        registry.spawn(Command::new("docker-registry"), &config, &log)?;
        let answers = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(());
        until("the registry to answer", Duration::from_secs(30), || Ok(answers()))
            .with_context(|| tail(&log))?;

        let log = folder.join("node.log");
        let network = format!("--net={}", cluster::network(sh, provider)?.display());
        let root = cmd!(sh, "id -u").quiet().read()? == "0";
        let mut enter = Command::new(if root { "nsenter" } else { "sudo" });
        enter.args((!root).then_some("nsenter")).arg(network).arg("docker-registry");
        registry.spawn(enter, &config, &log)?;
        Ok(registry)
    }

    /// The argument of `--registry`, without `oci://`.
    pub(crate) fn address(&self) -> String {
        format!("localhost:{}/e2e", self.port)
    }

    fn spawn(&mut self, mut command: Command, config: &Path, log: &Path) -> Result<()> {
        let file = File::create(log)?;
        command.arg("serve").arg(config).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let mut child = command.spawn().context("start `docker-registry`")?;
        let ended = child.try_wait()?;
        self.processes.push(child);
        ensure!(ended.is_none(), "the registry ended; {}", tail(log));
        Ok(())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // The process may have ended already, and `drop` cannot return an error.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
