//! Measures how long the gate takes: from the engine's start to the first new pod, with nothing to migrate. For comparison
//! the same chart runs without the gate, and with a Job of the same image that does nothing, which is the cost of any hook.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use xshell::cmd;

use crate::builds::Build;
use crate::database::Database;
use crate::engine::APP;
use crate::rollout::Rollout;
use crate::scenario::Gated;
use crate::wait::until;
use crate::world::World;

/// Each round runs every kind once, so that a machine that slows down affects all kinds alike.
const ROUNDS: usize = 5;

/// The variants that are compared.
#[derive(Clone, Copy)]
enum Kind {
    Off,
    Empty,
    Gate,
}

pub(crate) fn run(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let empty = chart_with_empty_job(world)?;
    let mut times = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        for kind in [Kind::Off, Kind::Empty, Kind::Gate] {
            let name = format!("{round}-{}", kind as usize);
            let mut rollout = rollout(&gated, kind, &name);
            if matches!(kind, Kind::Empty) {
                rollout = rollout.on_chart(&empty);
            }
            times[kind as usize].push(first_pod(&gated, &rollout, &name)?);
        }
    }
    let [off, empty, gate] = times.map(median);
    Ok(format!(
        "gate off {off:.2} s, an empty Job {empty:.2} s, the gate {gate:.2} s: {:+.0} ms over the empty Job \
         (medians of {ROUNDS})",
        (gate - empty) * 1000.0
    ))
}

/// A new pod of the same build: nothing to migrate, but a pod to roll out.
fn rollout(gated: &Gated, kind: Kind, name: &str) -> Rollout {
    let values = json!({
        "migrate": {"enabled": !matches!(kind, Kind::Off)}, "podAnnotations": {"round": name},
    });
    gated.rollout_with(Build::First, &values)
}

/// Seconds from the engine's start to the first pod of the rollout.
fn first_pod(gated: &Gated, rollout: &Rollout, name: &str) -> Result<f64> {
    let start = SystemTime::now();
    gated.world.roll(rollout)?.expect_success()?;
    let pod = until("the new pod", Duration::from_secs(30), || {
        let of_this =
            |value: &Value| value.pointer("/metadata/annotations/round").is_some_and(|of| of == name);
        Ok(gated.pods.events()?.into_iter().find(|pod| pod.is_app(Build::First) && of_this(&pod.object)))
    })?;
    let took = pod.at.duration_since(start).context("the pod existed before its rollout")?;
    // The next rollout starts after this one has ended.
    gated.world.kubectl(&["rollout", "status", &format!("deployment/{APP}"), "--timeout=120s"])?;
    Ok(took.as_secs_f64())
}

/// The chart, with a Job of the same image that only starts and ends.
fn chart_with_empty_job(world: &World) -> Result<PathBuf> {
    let sh = world.stage.shell()?;
    let copy = world.folder.join("chart");
    let chart = &world.stage.chart;
    cmd!(sh, "cp -r {chart} {copy}").quiet().run()?;
    let template = copy.join("templates/job-migrate.yaml");
    let text = sh.read_file(&template)?;
    let emptied = text.replacen("          - migrate\n", "          - --version\n", 1);
    ensure!(emptied != text, "`{}` does not run `corveil migrate`", template.display());
    sh.write_file(&template, emptied)?;
    Ok(copy)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
