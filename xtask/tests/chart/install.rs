//! The page about installing says what works.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::random::server::Server;
use super::*;
use crate::gate::HELMS;

/// Typed as they are there, on a real API server, with this chart in the place of the published one.
#[test]
fn the_commands_before_an_upgrade_accept_a_good_one_and_find_what_the_server_refuses() {
    let page = std::fs::read_to_string(xtask::project::root().join("docs/install.md")).unwrap();
    let (_, block) = page.split_once("**Before an upgrade**").expect("a paragraph");
    let (_, block) = block.split_once("```sh\n").expect("commands");
    let (commands, _) = block.split_once("```").expect("their end");
    let published =
        format!("oci://ghcr.io/corveil/charts/corveil-chart --version {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(commands.matches(&published).count(), 2, "{commands}");
    let commands = commands
        .replace(&published, "chart")
        .replace("values.yaml", "chart/ci/external-database-values.yaml");
    let kubectl = tools::built(&shell(), Tool::Kubernetes, "kubectl").unwrap();
    for tool in HELMS {
        let server = Server::start().unwrap_or_else(|error| panic!("{error:#}"));
        let programs = tempfile::tempdir().unwrap();
        symlink(program(tool), programs.path().join("helm")).unwrap();
        symlink(&kubectl, programs.path().join("kubectl")).unwrap();
        let path = format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap());
        let run = |script: &str| {
            let mut bash = Command::new("bash");
            bash.args(["-euo", "pipefail", "-c", script]).current_dir(xtask::project::root());
            let output = bash.env("PATH", &path).env("KUBECONFIG", server.kubeconfig()).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            (output.status.success(), text.into_owned())
        };
        let (succeeded, text) = run(&format!("kubectl create namespace corveil\n{commands}"));
        assert!(
            succeeded && text.contains("job.batch/corveil-migrate serverside-applied (server dry run)"),
            "{text}"
        );
        // A Deployment's selector never changes.
        let other = "helm template corveil chart --namespace corveil --values chart/ci/external-database-values.yaml \
                     --set nameOverride=other --show-only templates/deployment.yaml | kubectl --namespace corveil create --filename -";
        let (succeeded, text) = run(other);
        assert!(succeeded, "{text}");
        let (_, template) = commands.split_once("\nhelm template").expect("the second command");
        let (succeeded, text) = run(&format!("helm template{template}"));
        assert!(!succeeded && text.contains("field is immutable"), "{text}");
    }
}
