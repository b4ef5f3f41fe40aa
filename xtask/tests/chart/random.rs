//! Random files of values: whatever the schema lets through, both Helms render alike and a real API server takes whole, or a
//! sentence refuses with a key in it. Otherwise it is the API server that refuses, when the database is already migrated.
//!
//! The files are the same ones at each run, so that a change fails by what it changes. `CORVEIL_TEST_SEED=random` draws others, a
//! number repeats a run, and with a number after a dot one file of it: `7.12`.

mod dice;
mod draw;
mod fits;
mod pattern;
pub(super) mod server;

use std::collections::HashSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;
use crate::decode;
use crate::gate::HELMS;
use dice::Dice;
use draw::Drawing;
use server::{Client, Server};
use xtask::render::{KUBERNETES, NAMESPACE};

/// How many files.
const FILES: usize = 300;

const SEED: &str = "CORVEIL_TEST_SEED";

/// What says of a template of ours, and not of the values, that it is wrong.
const FAULTS: &[&str] =
    &["nil pointer", "%!", "YAML parse error", "wrong type", "error converting", "invalid character"];

struct Case {
    release: String,
    is_upgrade: bool,
    values: Value,
}

#[test]
fn random_values_are_accepted_by_a_real_server_or_refused_with_a_key() {
    let given = std::env::var(SEED).unwrap_or_default();
    let (seed, only) = given.split_once('.').unwrap_or((&given, ""));
    let seed = match seed {
        "" => 1,
        "random" => u64::from(std::time::UNIX_EPOCH.elapsed().expect("after 1970").subsec_nanos()),
        number => {
            number.parse().unwrap_or_else(|_| panic!("{SEED} is `{given}`: give `random`, `7` or `7.12`"))
        }
    };
    let schema = std::fs::read_to_string(xtask::project::root().join("chart/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let server = Server::start().unwrap_or_else(|error| panic!("{error:#}"));
    let helms = HELMS.map(program);
    let (next, accepted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (known, faults) = (Mutex::new(HashSet::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let mut client = server.connect().expect("the server listens");
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= FILES {
                        break;
                    }
                    if only.parse().is_ok_and(|only: usize| only != number) {
                        continue;
                    }
                    let case = draw(&schema, seed, number);
                    match check(&case, &helms, &mut client, &known) {
                        Ok(is_accepted) => {
                            accepted.fetch_add(usize::from(is_accepted), Ordering::Relaxed);
                        }

                        Err(fault) => {
                            let Case { release, is_upgrade, values } = case;
                            let case = format!("release {release}, upgrade {is_upgrade}, values {values}");
                            faults.lock().unwrap().push(format!("{SEED}={seed}.{number}: {fault}\n{case}"));
                        }
                    }
                }
            });
        }
    });
    let (faults, accepted) = (faults.into_inner().unwrap(), accepted.into_inner());
    let summary =
        format!("{SEED}={seed}: {accepted} of {FILES} files accepted whole, {} faults", faults.len());
    assert!(writeln!(std::io::stderr(), "{summary}").is_ok());
    assert!(faults.is_empty(), "{summary}\n\n{}", faults.join("\n\n"));
    // Where nothing is accepted nothing was tried.
    assert!(!only.is_empty() || accepted > FILES / 4, "{summary}");
}

fn draw(schema: &Value, seed: u64, number: usize) -> Case {
    let mut dice = Dice::new(seed.wrapping_mul(1000).wrapping_add(number as u64));
    let names = [
        "prod".to_owned(),
        "1a".to_owned(),
        "a.b".to_owned(),
        "a".repeat(41),
        "a".repeat(42),
        "a".repeat(53),
    ];
    let release = if dice.one_in(6) { dice.pick(&names).clone() } else { names[0].clone() };
    let (is_upgrade, wrong) = (dice.one_in(2), *dice.pick(&[0, 0, 20]));
    let values = Drawing { schema, dice, wrong }.file();
    Case { release, is_upgrade, values }
}

/// Whether the server accepts all of it; otherwise it was refused as it should be.
fn check(
    case: &Case,
    helms: &[PathBuf; 2],
    client: &mut Client,
    known: &Mutex<HashSet<String>>,
) -> Result<bool, String> {
    let (three, four) = (render(&helms[0], case), render(&helms[1], case));
    let (three, four) = match (three, four) {
        (Ok(three), Ok(four)) => (three, four),
        (Err(three), Err(four)) => return refused(&three).and_then(|()| refused(&four)).map(|()| false),
        (three, four) => return Err(format!("one Helm renders it: {:?} {:?}", three.err(), four.err())),
    };
    let (three, four) = (read(&three)?, read(&four)?);
    if three != four {
        return Err("Helm 3 and 4 render it differently".to_owned());
    }
    for object in four.iter().chain(&claims(&four)) {
        // Many files have many objects in common.
        if known.lock().unwrap().contains(&object.to_string()) {
            continue;
        }
        let version = object["apiVersion"].as_str().unwrap_or_default();
        if version.contains("istio") {
            decode::strictly(object).map_err(|error| format!("{error:#}"))?;
        }
        client.accepts(object).map_err(|error| format!("the server refuses {}: {error}", object["kind"]))?;
        known.lock().unwrap().insert(object.to_string());
    }
    Ok(true)
}

/// The claims that a controller makes: the server has not looked at them with their `StatefulSet`.
fn claims(objects: &[Value]) -> Vec<Value> {
    let templates = objects.iter().filter_map(|object| object["spec"]["volumeClaimTemplates"].as_array());
    templates.flatten().cloned().collect()
}

fn read(text: &str) -> Result<Vec<Value>, String> {
    let mut objects = xtask::project::objects::parse(text).map_err(|error| format!("{error:#}"))?;
    // Hooks are printed in an order of their own.
    objects.sort_by_cached_key(|object| format!("{} {}", object["kind"], object["metadata"]["name"]));
    Ok(objects)
}

fn render(helm: &Path, case: &Case) -> Result<String, String> {
    let mut command = Command::new(helm);
    command.args([
        "template",
        &case.release,
        "chart",
        "--namespace",
        NAMESPACE,
        "--kube-version",
        KUBERNETES,
        "--values",
        "-",
    ]);
    if case.is_upgrade {
        command.arg("--is-upgrade");
    }
    command
        .current_dir(xtask::project::root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(case.values.to_string().as_bytes()).map_err(|error| error.to_string())?;
    drop(input);
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Fails unless the refusal names a key, as `key` or, by the schema, as '/key'.
fn refused(says: &str) -> Result<(), String> {
    if let Some(fault) = FAULTS.iter().find(|fault| says.contains(**fault)) {
        return Err(format!("`{fault}` in the refusal: {says}"));
    }
    let is_key = |name: &str| {
        let name = name.split(['.', '/', '\'', ' ']).next().unwrap_or_default();
        xtask::generate::values::keys().iter().any(|key| key.name == name)
    };
    let quoted = says.split('`').skip(1).step_by(2).any(is_key);
    let pointed = says.split("at '/").skip(1).any(is_key);
    let unknown = says.contains("additional properties '");
    let evaluated = says.split(".Values.").skip(1).any(is_key);
    if quoted || pointed || unknown || evaluated {
        Ok(())
    } else {
        Err(format!("no key in the refusal: {says}"))
    }
}

#[test]
fn the_server_refuses_what_it_refuses_everywhere() {
    let server = Server::start().unwrap_or_else(|error| panic!("{error:#}"));
    let mut client = server.connect().expect("the server listens");
    let service = |name: &str, port: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [port]}});
    assert_eq!(client.accepts(&service("a", json!({"port": 80}))), Ok(()));
    for (service, why) in [
        (service("1a", json!({"port": 80})), "a DNS-1035 label"),
        (service("a", json!({"port": 99_999})), "must be between 1 and 65535"),
        (service("a", json!({"port": 80, "prot": 1})), "unknown field"),
    ] {
        let error = client.accepts(&service).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}
