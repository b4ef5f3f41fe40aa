//! `argocd/migrate/` as real kustomize builds it.

use serde_json::{Value, json};
use xshell::{Shell, cmd};
use xtask::gate::{self, Annotations, Step};

use super::objects;
use crate::decode;
use xtask::generate::argocd::manifests;
use xtask::tools::{self, Tool};

fn build(variant: &str) -> Vec<Value> {
    let shell = Shell::new().expect("a working folder");
    shell.change_dir(xtask::project::root());
    let kustomize = tools::path(&shell, Tool::Kustomize).unwrap_or_else(|error| panic!("{error}"));
    let built = cmd!(shell, "{kustomize} build argocd/migrate/{variant}").quiet().read();
    objects(&built.expect("kustomize builds it")).expect("it is YAML")
}

/// The base's Job with these annotations, and nothing else.
#[track_caller]
fn assert_built(variant: &str, name: &str, annotations: Annotations) {
    let mut expected = serde_json::to_value(manifests::job()).expect("plain data");
    expected["metadata"]["name"] = name.into();
    for (key, value) in annotations {
        expected["metadata"]["annotations"][key] = json!(value);
    }
    let built = build(variant);
    assert_eq!(built, [expected]);
    decode::strictly(&built[0]).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_variants_are_the_typed_job_and_their_annotations() {
    assert_built("base", "corveil-migrate", Vec::new());
    assert_built("presync", "corveil-migrate", manifests::hook());
    assert_built("wave", "corveil-migrate-wave", gate::wave(Step::Job));
}
