//! An Application as this repository ships it, which follows the scenario's git repository.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::rollout::Rollout;
use crate::rollout::argocd::KIND;
use crate::rollout::argocd::repository::{self, Commit, Repository};
use crate::wait::until;
use crate::world::{Outcome, World};
use xtask::project::objects::{self, merge};

/// One Application, and the state that its controller wrote into it.
pub(crate) struct Application<'a> {
    pub(crate) world: &'a World<'a>,
    pub(crate) name: String,
    pub(crate) repository: Repository<'a>,
    spec: Value,
}

impl<'a> Application<'a> {
    /// The Application of `argocd/application.yaml`. The repository's values file overrides the chart's values.
    pub(crate) fn external(world: &'a World<'a>) -> Result<Self> {
        Self::from(world, shipped("application.yaml")?)
    }

    /// The first environment of `argocd/applicationset.yaml`, as an Application: the one with the bundled database.
    pub(crate) fn bundled(world: &'a World<'a>) -> Result<Self> {
        let set = shipped("applicationset.yaml")?;
        let values =
            set.pointer("/spec/generators/0/list/elements/0/values").context("a first environment")?;
        let mut object = shipped("application.yaml")?;
        object["spec"]["source"]["helm"]["valuesObject"] = values.clone();
        Self::from(world, object)
    }

    fn from(world: &'a World<'a>, mut object: Value) -> Result<Self> {
        let repository = Repository::new(world)?;
        let source = &mut object["spec"]["source"];
        follow(source, &repository);
        source["helm"]["valueFiles"] = json!([repository::VALUES]);
        Self::named(world, repository, object)
    }

    /// An Application from any object, which need not follow the repository.
    pub(crate) fn of(world: &'a World<'a>, object: Value) -> Result<Self> {
        Self::named(world, Repository::new(world)?, object)
    }

    /// The object, in the scenario's namespace and under its name.
    fn named(world: &'a World<'a>, repository: Repository<'a>, mut object: Value) -> Result<Self> {
        let name = world.namespace.clone();
        object["metadata"]["name"] = json!(name);
        object["metadata"]["namespace"] = json!(world.stage.argocd()?.namespace);
        object["spec"]["destination"]["namespace"] = json!(world.namespace);
        Ok(Self { world, name, repository, spec: object })
    }

    /// The values in the Application itself.
    pub(crate) fn values(&self) -> Option<Value> {
        self.spec.pointer("/spec/source/helm/valuesObject").cloned()
    }

    /// Merges this over the shipped Application.
    pub(crate) fn with(mut self, over: Value) -> Self {
        self.spec = merge(self.spec, over);
        self
    }

    /// Uses Argo CD's default retries.
    pub(crate) fn with_default_retries(mut self) -> Self {
        if let Some(policy) = self.spec["spec"]["syncPolicy"].as_object_mut() {
            policy.remove("retry");
        }
        self
    }

    /// Uses a folder of plain manifests instead of the chart.
    pub(crate) fn on_folder(mut self, folder: &str) -> Self {
        let source = &mut self.spec["spec"]["source"];
        source["path"] = json!(folder);
        if let Some(source) = source.as_object_mut() {
            source.remove("helm");
        }
        self
    }

    /// Creates it as a user would: `kubectl apply --filename application.yaml`.
    pub(crate) fn create(&self) -> Result<()> {
        self.world.apply_in(&self.world.stage.argocd()?.namespace, &self.spec)
    }

    /// Commits the rollout, and notifies Argo CD as a webhook of the git server would.
    pub(crate) fn roll(&self, rollout: &Rollout) -> Result<Commit> {
        let commit = self.commit(rollout)?;
        self.refresh()?;
        Ok(commit)
    }

    /// Commits the rollout.
    pub(crate) fn commit(&self, rollout: &Rollout) -> Result<Commit> {
        self.repository.commit_values(&rollout.values())
    }

    /// Makes Argo CD read the repository now. Otherwise it does so every two or three minutes.
    pub(crate) fn refresh(&self) -> Result<Outcome> {
        self.world.argocd(&["app", "get", &self.name, "--refresh"])?.expect_success()
    }

    /// The Application as it is now; null before it exists.
    pub(crate) fn now(&self) -> Result<Value> {
        let namespace = &self.world.stage.argocd()?.namespace;
        let get = ["get", KIND, &self.name, "--namespace", namespace, "--ignore-not-found", "--output=json"];
        let text = self.world.kubectl_anywhere(&get)?;
        if text.trim().is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
    }

    /// Waits until `find` returns something from the Application.
    pub(crate) fn until<T>(&self, what: &str, seconds: u64, find: impl Fn(&Value) -> Option<T>) -> Result<T> {
        let found = until(what, Duration::from_secs(seconds), || Ok(find(&self.now()?)));
        found.with_context(|| format!("the Application is {}", summary(&self.now().unwrap_or_default())))
    }

    /// Waits until the commit is synced and healthy and no operation runs. Returns how long after the commit that was.
    pub(crate) fn live(&self, commit: &Commit, seconds: u64) -> Result<Duration> {
        self.until(&format!("commit {} to be live", &commit.id[..7]), seconds, |application| {
            is_live(application, &commit.id).then_some(())
        })?;
        Ok(commit.at.elapsed()?)
    }

    /// Waits until the operation on this commit has failed and is not retried.
    pub(crate) fn failed(&self, commit: &Commit, seconds: u64) -> Result<Value> {
        self.until(&format!("the sync of {} to fail", &commit.id[..7]), seconds, |application| {
            let state = &application["status"]["operationState"];
            let is_over = matches!(state["phase"].as_str(), Some("Failed" | "Error"));
            (is_over && of(state) == Some(&commit.id)).then(|| state.clone())
        })
    }

    /// Waits until the sync of this commit has failed at least that often, and is retried.
    pub(crate) fn retried(&self, commit: &Commit, times: u64, seconds: u64) -> Result<()> {
        self.until(&format!("retry {times} of {}", &commit.id[..7]), seconds, |application| {
            let state = &application["status"]["operationState"];
            let is_waiting = state["phase"] == "Running" && state["finishedAt"].is_string();
            (is_waiting && of(state) == Some(&commit.id) && state["retryCount"].as_u64() >= Some(times))
                .then_some(())
        })
    }

    /// Fails unless the Application is synced, healthy, and without a difference.
    pub(crate) fn expect_clean(&self) -> Result<()> {
        let now = self.now()?;
        ensure!(now["status"]["sync"]["status"] == "Synced", "the Application is {}", summary(&now));
        ensure!(now["status"]["health"]["status"] == "Healthy", "the Application is {}", summary(&now));
        let diff = self.world.argocd(&["app", "diff", &self.name, "--refresh"])?;
        ensure!(diff.success && diff.text.trim().is_empty(), "`argocd app diff` printed:\n{}", diff.text);
        Ok(())
    }

    /// Deletes it as a user would, with everything that it applied.
    pub(crate) fn delete(&self) -> Result<()> {
        self.delete_with("--cascade")
    }

    /// Deletes it, and keeps what it applied.
    pub(crate) fn release(&self) -> Result<()> {
        self.delete_with("--cascade=false")
    }

    /// The CLI's `--wait` waits for ever where the Application is gone before its first check.
    fn delete_with(&self, cascade: &str) -> Result<()> {
        self.world.argocd(&["app", "delete", &self.name, cascade, "--yes"])?.expect_success()?;
        until("the Application to be deleted", Duration::from_mins(2), || {
            Ok(self.now()?.is_null().then_some(()))
        })
    }

    /// Turns auto-sync off, or on again as it is shipped.
    pub(crate) fn automate(&self, is_on: bool) -> Result<()> {
        let policy = if is_on { self.spec["spec"]["syncPolicy"]["automated"].clone() } else { Value::Null };
        self.patch(&json!({"spec": {"syncPolicy": {"automated": policy}}}))
    }

    pub(crate) fn patch(&self, patch: &Value) -> Result<()> {
        let namespace = ["--namespace", &self.world.stage.argocd()?.namespace];
        let patch = ["patch", KIND, &self.name, "--type=merge", "--patch", &patch.to_string()];
        self.world.kubectl_anywhere(&[&namespace[..], &patch].concat()).map(drop)
    }
}

/// A file of `argocd/`.
pub(crate) fn shipped(name: &str) -> Result<Value> {
    let path = xtask::project::root().join("argocd").join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    objects::parse(&text)?.pop().with_context(|| format!("{} has an object", path.display()))
}

/// Makes a source follow the scenario's repository.
pub(crate) fn follow(source: &mut Value, repository: &Repository) {
    source["repoURL"] = json!(repository.url());
    source["targetRevision"] = json!(repository::BRANCH);
}

/// The commit that an operation is about.
fn of(state: &Value) -> Option<&str> {
    state.pointer("/syncResult/revision").or_else(|| state.pointer("/operation/sync/revision"))?.as_str()
}

pub(crate) fn is_live(application: &Value, commit: &str) -> bool {
    let status = &application["status"];
    status["sync"]["status"] == "Synced"
        && status["sync"]["revision"] == commit
        && status["health"]["status"] == "Healthy"
        // There is no operation where the cluster matched the commit already.
        && matches!(status["operationState"]["phase"].as_str(), None | Some("Succeeded"))
        && application["operation"].is_null()
}

/// The state of an Application in one line.
fn summary(application: &Value) -> String {
    let text = |pointer| application.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
    let conditions = application["status"]["conditions"].as_array().into_iter().flatten();
    let conditions: Vec<_> = conditions.filter_map(|condition| condition["message"].as_str()).collect();
    format!(
        "{} at {}, {}, operation {}: {} {}",
        text("/status/sync/status"),
        text("/status/sync/revision"),
        text("/status/health/status"),
        text("/status/operationState/phase"),
        text("/status/operationState/message"),
        conditions.join("; "),
    )
}
