//! `cargo xtask release`, as a maintainer runs it: with a real registry, real git and real Helm, and with each way to fail.
//!
//! The tests share one checkout, so that the image is compiled once. They run one at a time.

#[path = "release/checkout.rs"]
mod checkout;
#[path = "release/registry.rs"]
mod registry;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use checkout::{Checkout, kill, run, run_until};
use registry::{PASSWORD, Registry, USER};
use xshell::cmd;

/// The number of the first step that uses the registry.
const CHECK_REGISTRY: usize = 9;
const PUSH_CHART: usize = 11;
const LAST: usize = 13;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("release")
}

/// The checkout in its first state, locked for one test.
fn checkout() -> MutexGuard<'static, Checkout> {
    static CHECKOUT: LazyLock<Mutex<Checkout>> = LazyLock::new(|| Mutex::new(Checkout::new(&folder())));
    let checkout = CHECKOUT.lock().unwrap_or_else(PoisonError::into_inner);
    checkout.reset();
    checkout
}

fn registry(name: &str) -> Registry {
    Registry::start(&folder().join(name), false)
}

/// `--registry` with a folder of the registry.
fn to(registry: &Registry) -> String {
    format!("--registry=oci://{}/team", registry.host())
}

/// The digest that a release wrote.
fn digest(checkout: &Checkout) -> String {
    let text = checkout.read("release.yaml");
    text.lines().find_map(|line| line.strip_prefix("digest: ")).expect("a digest").to_owned()
}

/// The release's folder has a program for each architecture, which runs. The one that is not this machine's runs in an emulator.
fn expect_programs(checkout: &Checkout, version: &str) {
    let made = checkout.root.join(format!("target/publish/{version}"));
    let _folder = checkout.sh.push_dir(&made);
    cmd!(checkout.sh, "sha256sum --quiet --check SHA256SUMS").quiet().run().expect("the sums match");
    for (name, machine) in [("amd64", "x86_64"), ("arm64", "aarch64")] {
        let archive = format!("corveil-{version}-linux-{name}.tar.gz");
        cmd!(checkout.sh, "tar --extract --gzip --file {archive}").quiet().run().expect("a program");
        let emulator = (machine != std::env::consts::ARCH).then(|| format!("qemu-{machine}-static"));
        let call = emulator.as_deref().into_iter().chain(["./corveil", "--version"]);
        let call: Vec<_> = call.collect();
        let printed = cmd!(checkout.sh, "env {call...}").quiet().read().expect("the program runs");
        assert_eq!(printed, format!("corveil {version}"), "{name}");
    }
}

#[test]
fn what_must_not_be_released_is_refused() {
    let checkout = checkout();
    let registry = registry("refused");
    let (next, to) = (checkout::version(1), to(&registry));
    let refuses = |arguments: &[&str], words: &[&str]| {
        let before = checkout.state();
        let outcome = run(checkout.release(arguments)).fails(words);
        assert!(!outcome.text.contains("hidden"), "{}", outcome.text);
        assert_eq!(checkout.state(), before, "{words:?}");
        assert!(registry.tags().is_empty(), "{words:?}");
    };

    refuses(&["2.x"], &["`2.x`"]);
    refuses(&["1.9.9", &to], &["is not greater"]);
    checkout.git(&format!("tag v{}", env!("CARGO_PKG_VERSION")));
    checkout.write("new.txt", "");
    checkout.commit_all("Change a file");
    refuses(&[env!("CARGO_PKG_VERSION"), &to], &["is released already"]);
    checkout.reset();
    refuses(&[&next, "--registry=oci://user:hidden@example.com/a"], &["not the address of a registry"]);
    refuses(
        &[&next, &to, "--check=true", "--check=false"],
        &["`false` has to succeed", "nothing was pushed"],
    );

    checkout.write("new.txt", "");
    refuses(&[&next, &to], &["not clean", "new.txt"]);
    checkout.reset();
    checkout.write("README.md", "");
    refuses(&[&next, &to], &["not clean", "README.md"]);

    checkout.reset();
    checkout.write("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n");
    checkout.commit_all("Empty the changelog");
    refuses(&[&next, &to], &["nothing under `[Unreleased]`"]);

    checkout.reset();
    checkout.write("argocd/application.yaml", &(checkout.read("argocd/application.yaml") + "# Mine.\n"));
    checkout.commit_all("Edit what is generated");
    refuses(&[&next, &to], &["`argocd/application.yaml` is not what"]);

    checkout.reset();
    checkout
        .write("helmfile.yaml", &checkout.read("helmfile.yaml").replace("    version: ", "    # version: "));
    checkout.commit_all("Lose a version");
    refuses(&[&next, &to], &["`helmfile.yaml` does not have `version: "]);

    let migration = "migrations/0001_create_users.sql";
    for (what, word) in [("edited", "-- More.\n"), ("removed", "")] {
        checkout.reset();
        checkout.git("tag v1.0.0");
        match what {
            "edited" => checkout.write(migration, &(checkout.read(migration) + word)),
            _ => checkout.sh.remove_path(migration).expect("a file"),
        }
        checkout.commit_all("Change what is released");
        refuses(&[&next, &to], &[&format!("`{migration}` was {what}"), "v1.0.0"]);
    }
}

#[test]
fn a_dry_run_shows_everything_and_changes_nothing() {
    let checkout = checkout();
    let registry = registry("dry");
    let version = checkout::version(1);
    let before = checkout.state();
    let outcome = run(checkout.release(&[&version, &to(&registry), "--dry-run"])).succeeds();
    assert_eq!(checkout.state(), before);
    assert!(registry.tags().is_empty());
    for line in [
        format!("+version = \"{version}\""),
        format!("+appVersion: {version}"),
        format!("+    targetRevision: v{version}"),
        format!("+## [{version}] - "),
        "+      description: 'A thing: `new`.'".to_owned(),
        "+digest: sha256:".to_owned(),
        "+  digest: sha256:".to_owned(),
        "--- a/helmfile/image.yaml".to_owned(),
        "$ skopeo copy ".to_owned(),
        format!("$ git tag --annotate v{version}"),
    ] {
        assert!(
            outcome.text.lines().any(|found| found.starts_with(&line)),
            "no `{line}` in:\n{}",
            outcome.text
        );
    }
    assert!(outcome.text.contains(" push --plain-http "), "{}", outcome.text);
}

#[test]
fn an_interrupted_clone_does_not_run_git_on_the_checkout() {
    let checkout = checkout();
    let registry = registry("cut");
    let tree = checkout.root.join("target/publish/tree");
    checkout.sh.remove_path(&tree).expect("a folder");
    fs::create_dir_all(tree.join(".git/objects")).expect("a folder");
    let branch = checkout.git("symbolic-ref HEAD");
    let before = checkout.state();
    run(checkout.release(&[&checkout::version(1), &to(&registry), "--dry-run"])).succeeds();
    assert_eq!((checkout.git("symbolic-ref HEAD"), checkout.state()), (branch, before));
}

#[test]
fn the_first_release_can_have_the_version_of_the_checkout() {
    let checkout = checkout();
    let registry = registry("first");
    let version = env!("CARGO_PKG_VERSION");
    let outcome = run(checkout.release(&[version, &to(&registry), "--dry-run"])).succeeds();
    assert!(outcome.text.contains(&format!("+## [{version}] - ")), "{}", outcome.text);
}

#[test]
fn a_release_is_complete_and_a_second_run_changes_nothing() {
    let checkout = checkout();
    let registry = registry("whole");
    let (version, to) = (checkout::version(1), to(&registry));
    let parent = checkout.head();
    let outcome = run(checkout.release(&[&version, &to])).succeeds();
    assert!(outcome.text.contains(&format!("git push origin main v{version}")), "{}", outcome.text);

    // One commit, with a tag.
    assert_eq!(checkout.git("rev-parse HEAD~1"), parent);
    assert_eq!(checkout.git(&format!("rev-parse v{version}^{{commit}}")), checkout.head());
    assert!(checkout.git("status --porcelain").is_empty());

    // Everything names the image by the digest that the registry serves.
    let digest = digest(&checkout);
    let team = format!("{}/team", registry.host());
    let by_digest = format!("{team}/corveil@{digest}");
    let tags = registry.tags();
    assert!(tags.contains(&(format!("team/corveil:{version}"), digest.clone())), "{tags:?}");
    assert!(tags.iter().any(|(tag, _)| *tag == format!("team/charts/corveil-chart:{version}")), "{tags:?}");
    for path in [
        "release.yaml",
        "chart/values.yaml",
        "chart/Chart.yaml",
        "chart/README.md",
        "argocd/application.yaml",
        "argocd/applicationset.yaml",
        "argocd/migrate/base/job.yaml",
        "argocd/README.md",
        "helmfile/image.yaml",
    ] {
        assert!(checkout.read(path).contains(&digest), "{path}");
    }
    assert!(checkout.read("argocd/migrate/base/job.yaml").contains(&by_digest));
    let bom = checkout.read(&format!("target/publish/{version}/corveil-{version}.cdx.json"));
    assert!(bom.contains("\"CycloneDX\"") && bom.contains("pkg:cargo/sqlx@") && bom.contains(&digest));
    run({
        let mut generate = checkout.xtask(&checkout.root);
        generate.args(["gen", "--check"]);
        generate
    })
    .succeeds();

    // The index has an image, and the folder a program, for each architecture.
    let raw =
        cmd!(checkout.sh, "skopeo inspect --raw --tls-verify=false docker://{by_digest}").quiet().read();
    let index: serde_json::Value = serde_json::from_str(&raw.expect("an index")).expect("JSON");
    let images = index["manifests"].as_array().expect("a list").iter();
    let images: Vec<_> = images.map(|image| image["platform"]["architecture"].clone()).collect();
    assert_eq!(images, ["amd64", "arm64"]);
    expect_programs(&checkout, &version);

    // A second run changes nothing.
    let before = (checkout.state(), registry.tags());
    run(checkout.release(&[&version, &to])).succeeds();
    assert_eq!((checkout.state(), registry.tags()), before);

    // A clone of the tag in another folder builds the same image.
    let elsewhere = folder().join("elsewhere");
    let sh = &checkout.sh;
    sh.remove_path(&elsewhere).expect("a folder");
    let (root, tag) = (&checkout.root, format!("v{version}"));
    cmd!(sh, "git -c advice.detachedHead=false clone --quiet --branch {tag} {root} {elsewhere}")
        .quiet()
        .run()
        .expect("git clones");
    let mut image = checkout.xtask(&elsewhere);
    image.arg("image");
    let rebuilt = run(image).succeeds();
    assert!(rebuilt.text.contains(&digest), "{digest} was released, and this is\n{}", rebuilt.text);
    sh.remove_path(&elsewhere).expect("a folder");

    // The chart of another commit is refused.
    checkout.reset();
    checkout.write("chart/templates/NOTES.txt", "Another one.\n");
    checkout.commit_all("Change the notes");
    let before = (checkout.state(), registry.tags());
    run(checkout.release(&[&version, &to])).fails(&["another chart", "the checkout is as it was"]);
    assert_eq!((checkout.state(), registry.tags()), before);

    // Another image under the version's name is refused.
    checkout.reset();
    let chart = format!("docker://{team}/charts/corveil-chart:{version}");
    let next = checkout::version(2);
    let taken = format!("docker://{team}/corveil:{next}");
    cmd!(sh, "skopeo copy --quiet --src-tls-verify=false --dest-tls-verify=false {chart} {taken}")
        .quiet()
        .run()
        .expect("skopeo copies");
    let before = (checkout.state(), registry.tags());
    run(checkout.release(&[&next, &to])).fails(&["another image", "nothing was pushed"]);
    assert_eq!((checkout.state(), registry.tags()), before);
}

#[test]
fn a_release_that_is_killed_at_any_step_is_finished_by_the_next_run() {
    let checkout = checkout();
    let registry = registry("killed");
    let (version, to) = (checkout::version(1), to(&registry));
    let before = checkout.state();
    for step in 1..=LAST {
        let outcome = run_until(checkout.release(&[&version, &to]), step, kill);
        assert!(!outcome.success, "step {step}:\n{}", outcome.text);
        // The last step may have created the tag.
        assert!(step == LAST || checkout.state() == before, "step {step}:\n{}", outcome.text);
        assert!(step > CHECK_REGISTRY || registry.tags().is_empty(), "step {step}");
    }
    run(checkout.release(&[&version, &to])).succeeds();
    let (state, tags) = (checkout.state(), registry.tags());
    assert_eq!(checkout.git(&format!("rev-parse v{version}^{{commit}}")), checkout.head());
    assert!(tags.contains(&(format!("team/corveil:{version}"), digest(&checkout))), "{tags:?}");

    // Git itself was interrupted: the tag exists and some files are written, but not the branch and the index.
    let released = checkout.head();
    checkout.git("reset --quiet --hard HEAD~1");
    checkout.git(&format!("checkout {released} -- chart argocd"));
    checkout.git("reset --quiet");
    checkout.write(".git/index.lock", "");
    run(checkout.release(&[&version, &to])).succeeds();
    assert_eq!((checkout.state(), registry.tags()), (state, tags));

    // The same with a user's change among the files, which must not be lost.
    checkout.git("reset --quiet --hard HEAD~1");
    checkout.write("README.md", "Mine.\n");
    run(checkout.release(&[&version, &to])).fails(&["`README.md` is neither committed nor"]);
    assert_eq!(checkout.read("README.md"), "Mine.\n");
}

#[test]
fn a_release_continues_after_the_registry_was_down() {
    let checkout = checkout();
    let mut registry = registry("gone");
    let (version, to) = (checkout::version(1), to(&registry));
    let before = checkout.state();
    let outcome = run_until(checkout.release(&[&version, &to]), PUSH_CHART, |_| registry.stop());
    let got = format!("team/corveil:{version}`, and maybe `");
    outcome.fails(&["the checkout is as it was", &got, "whose push failed"]);
    assert_eq!(checkout.state(), before);
    run(checkout.release(&[&version, &to])).fails(&["the registry does not answer", "nothing was pushed"]);
    assert_eq!(checkout.state(), before);
    registry.restart();
    let outcome = run(checkout.release(&[&version, &to])).succeeds();
    assert!(outcome.text.contains("push the image: the registry has it"), "{}", outcome.text);
}

#[test]
fn credentials_come_from_dockers_configuration_and_are_never_shown() {
    let checkout = checkout();
    let registry = Registry::start(&folder().join("guarded"), true);
    let (version, to) = (checkout::version(1), to(&registry));
    let before = checkout.state();
    let docker = folder().join("docker-config");
    fs::create_dir_all(&docker).expect("a folder");
    let file = docker.join("config.json");
    let contents = |password: &str| {
        let auth = base64(format!("{USER}:{password}").as_bytes());
        format!("{{\"auths\": {{\"{}\": {{\"auth\": \"{auth}\"}}}}}}", registry.host())
    };
    let secrets = [PASSWORD.to_owned(), base64(format!("{USER}:{PASSWORD}").as_bytes())];
    let shows_none = |text: &str| secrets.iter().for_each(|secret| assert!(!text.contains(secret), "{text}"));

    // Without credentials, and with wrong ones.
    run(checkout.release(&[&version, &to])).fails(&["the registry does not answer", "nothing was pushed"]);
    fs::write(&file, contents("wrong-9c1d")).expect("a file");
    let mut wrong = checkout.release(&[&version, &to]);
    wrong.env("DOCKER_CONFIG", &docker);
    let outcome = run(wrong).fails(&["the registry does not answer", "nothing was pushed"]);
    assert!(!outcome.text.contains("wrong-9c1d"), "{}", outcome.text);
    assert_eq!(checkout.state(), before);

    // With those of the file.
    fs::write(&file, contents(PASSWORD)).expect("a file");
    let mut right = checkout.release(&[&version, &to]);
    right.env("DOCKER_CONFIG", &docker);
    shows_none(&run(right).succeeds().text);

    // With those of the variable, which are removed afterwards.
    let mut variable = checkout.release(&[&version, &to]);
    variable.env("DOCKER_AUTH_CONFIG", contents(PASSWORD));
    let left = checkout.root.join("target/publish/credentials.json");
    let outcome = run_until(variable, CHECK_REGISTRY, |_| {
        let mode = fs::metadata(&left).expect("a file while it runs").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    });
    shows_none(&outcome.succeeds().text);
    assert!(!left.exists());
}

/// The encoding of user and password in the file.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number =
            (0..3).fold(0_usize, |number, at| number << 8 | group.get(at).copied().map_or(0, usize::from));
        for at in 0..4 {
            let letter = LETTERS[number >> (18 - 6 * at) & 63];
            text.push(if at <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
