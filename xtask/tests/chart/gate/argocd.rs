//! The values in `argocd/` are values of the chart, and lead to the gate that they promise.

use serde_json::Value;

use super::{objects, render};
use xtask::tools::Tool;

/// The one object in the file.
fn read(name: &str) -> Value {
    let text =
        std::fs::read_to_string(xtask::project::root().join("argocd").join(name)).expect("it is generated");
    objects(&text).expect("it is YAML").pop().expect("it holds an object")
}

/// The phase in which Argo CD runs the Job that these values lead to.
#[track_caller]
fn phase(values: &Value) -> String {
    let objects = render(Tool::Helm4, &[], values).unwrap_or_else(|error| panic!("{error}"));
    let jobs: Vec<_> = objects.iter().filter(|object| object["kind"] == "Job").collect();
    let [job] = jobs[..] else { panic!("{} Jobs", jobs.len()) };
    job["metadata"]["annotations"]["argocd.argoproj.io/hook"].as_str().unwrap_or("none").to_owned()
}

#[test]
fn the_application_renders_a_hook() {
    assert_eq!(phase(&read("application.yaml")["spec"]["source"]["helm"]["valuesObject"]), "PreSync");
}

#[test]
fn each_environment_of_the_set_renders_a_hook() {
    let set = read("applicationset.yaml");
    let elements = set["spec"]["generators"][0]["list"]["elements"].as_array().expect("a list").clone();
    let phases: Vec<_> = elements.iter().map(|element| phase(&element["values"])).collect();
    assert_eq!(phases, ["Sync", "PreSync", "PreSync"]);
}

#[test]
fn a_retry_takes_the_fixing_commit() {
    for policy in [
        &read("application.yaml")["spec"]["syncPolicy"],
        &read("applicationset.yaml")["spec"]["template"]["spec"]["syncPolicy"],
    ] {
        assert_eq!(policy["retry"]["refresh"], true);
    }
}
