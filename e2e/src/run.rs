//! `cargo xtask e2e`: runs rollouts on a real cluster with real engines, and checks what they must never do.

use std::collections::VecDeque;
use std::fs;
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use xshell::Shell;

use crate::cluster::{self, Provider};
use crate::engine::Engine;
use crate::report::Entry;
use crate::scenario::{LATENCY, Scenario};
use crate::stage::Stage;
use crate::world::World;
use crate::{argocd, evidence, report, scenario, world};
use xtask::project::cache;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the core: the scenarios that notice a broken gate, in a fifth of the time
    #[arg(long)]
    core: bool,
    /// Run only scenarios with this text in their names; can be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Run only under this engine; can be given several times
    #[arg(long, value_name = "ENGINE")]
    engine: Vec<Engine>,
    /// Select where the cluster comes from
    #[arg(long, env = "CORVEIL_CLUSTER_PROVIDER", default_value = "local")]
    provider: Provider,
    /// Run this many scenarios at once
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    /// Keep the cluster, and the namespaces of scenarios that failed
    #[arg(long)]
    keep: bool,
    /// Write the results of a whole run to this file; it also measures how long the gate takes
    #[arg(long, value_name = "FILE", conflicts_with_all = ["core", "only", "engine"])]
    evidence: Option<PathBuf>,
}

type Work = (&'static Scenario, Engine);

pub(crate) fn run(sh: &Shell, args: &Args) -> Result<()> {
    let work = chosen(args);
    ensure!(
        !work.is_empty(),
        "no scenario matches `--only`, `--engine` and `--core` together\nhint: `e2e/src/scenario.rs` lists the scenarios"
    );
    ensure!(
        args.provider != Provider::Context,
        "the cluster of a context cannot pull the images of this checkout\n\
         hint: use `--provider local` or `--provider kind`"
    );
    let tested = args.evidence.as_ref().map(|file| evidence::tested(sh, file)).transpose()?;
    // Two runs on one node would delete each other's namespaces.
    let _lock = cache::lock(sh, "e2e")?;
    let was_up = cluster::running(sh, args.provider).is_ok();
    let needs_argocd = work.iter().any(|(_, engine)| *engine == Engine::Argocd);
    let done = Stage::set(sh, args.provider, needs_argocd)
        .and_then(|stage| play(&stage, work, tested.as_deref(), args));
    if !args.keep && !was_up {
        if needs_argocd {
            argocd::down(sh, args.provider)?;
        }
        cluster::down(sh, args.provider, None)?;
    }
    done
}

/// Runs the scenarios, and reports the results.
fn play(stage: &Stage, work: Vec<Work>, tested: Option<&str>, args: &Args) -> Result<()> {
    let mut entries = together(stage, work, args);
    if !args.keep {
        for entry in entries.iter_mut().filter(|entry| entry.outcome.is_err()) {
            try_alone(stage, entry, args);
        }
    }
    if args.evidence.is_some() {
        // Nothing else runs while the latency is measured.
        stage.wait_until_idle()?;
        entries.extend(LATENCY.engines.iter().map(|engine| one(stage, &LATENCY, *engine, args)));
    }
    entries.sort_by_key(|entry| (position(entry.scenario), entry.engine));

    let failures: Vec<_> = entries.iter().filter(|entry| entry.outcome.is_err()).collect();
    for Entry { scenario, engine, .. } in &failures {
        let log = stage.folder.join(world::namespace(scenario.name, *engine)).join(world::LOG);
        let text = fs::read_to_string(&log).unwrap_or_else(|error| error.to_string());
        writeln!(stderr(), "\n=== {} under {}\n{text}", scenario.name, engine.name())?;
    }
    write!(stdout(), "{}", report::table(&entries, stage.diff))?;
    let junit = stage.folder.join("junit.xml");
    fs::write(&junit, report::junit(&entries)).with_context(|| format!("write {}", junit.display()))?;
    if let Some((file, tested)) = args.evidence.as_ref().zip(tested) {
        let text = evidence::markdown(stage, tested, &entries)?;
        fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    }
    let (failed, logs) = (failures.len(), stage.folder.display());
    ensure!(failed == 0, "{failed} scenarios failed\nhint: the output of every command is in `{logs}`");
    Ok(())
}

fn chosen(args: &Args) -> Vec<Work> {
    let is_named = |scenario: &Scenario| {
        args.only.is_empty() || args.only.iter().any(|part| scenario.name.contains(part.as_str()))
    };
    let is_wanted = |engine: &Engine| args.engine.is_empty() || args.engine.contains(engine);
    let engines = |scenario: &Scenario| if args.core { scenario.core } else { scenario.engines };
    let named = scenario::all().filter(|scenario| is_named(scenario));
    named
        .flat_map(|scenario| engines(scenario).iter().map(move |engine| (scenario, *engine)))
        .filter(|(_, engine)| is_wanted(engine))
        .collect()
}

/// The place in the list of scenarios.
fn position(of: &Scenario) -> usize {
    scenario::all().position(|scenario| scenario.name == of.name).unwrap_or(usize::MAX)
}

/// Runs several scenarios at once: most of a rollout is waiting.
fn together(stage: &Stage, work: Vec<Work>, args: &Args) -> Vec<Entry> {
    let queue = Mutex::new(VecDeque::from(work));
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((scenario, engine)) = next else { break };
                    let entry = one(stage, scenario, engine, args);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Many scenarios on few cores disturb each other. A scenario that failed next to others is tried again alone, and the table
/// shows that.
fn try_alone(stage: &Stage, entry: &mut Entry, args: &Args) {
    let again = one(stage, entry.scenario, entry.engine, args);
    let before = entry.outcome.as_ref().err().and_then(|error| error.lines().next()).unwrap_or_default();
    let outcome = again.outcome.map(|seen| format!("{seen} (at the second try; the first failed: {before})"));
    *entry = Entry { outcome, ..again };
}

fn one(stage: &Stage, scenario: &'static Scenario, engine: Engine, args: &Args) -> Entry {
    let start = Instant::now();
    let outcome = World::begin(stage, scenario.name, engine).and_then(|world| {
        let seen = (scenario.run)(&world);
        if let Err(error) = &seen {
            // The scenario's error is reported, not an error of these.
            let _ = world.record(&format!("FAILED: {error:#}")).and_then(|()| world.record_state());
        }
        if seen.is_ok() || !args.keep {
            let _ = world.abandon();
        }
        seen
    });
    let outcome = outcome.map_err(|error| format!("{error:#}"));
    let entry = Entry { scenario, engine, outcome, took: start.elapsed() };
    // Progress for people who watch the run; the table comes at the end.
    let _ = writeln!(stderr(), "{}", entry.line());
    entry
}
