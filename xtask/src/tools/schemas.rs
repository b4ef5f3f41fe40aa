//! The schemas that kubeconform checks against, made from the API description in Kubernetes' own module.
//!
//! By default kubeconform downloads these files one by one from a third party's copy. Made here, they have a pinned version,
//! refuse fields that do not exist, and need no network after the first run.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use xshell::Shell;

use crate::project::cache;
use crate::tools::build;

/// The Go module in `xtask/tools` that pins Kubernetes.
pub const NAME: &str = "schemas";

const REFERENCE: &str = "#/definitions/";

/// Part of the name in the cache: another way of writing the files needs other files.
const FORMAT: &str = "1";

/// The argument of kubeconform's `-schema-location`, which is then its only source. It makes nothing: a test fails without
/// the schemas.
pub fn location(sh: &Shell) -> Result<String> {
    let folder = cache::root(sh)?.join(key(sh)?);
    if !folder.exists() {
        bail!("the schemas for kubeconform are missing\nhint: `cargo xtask tools kubeconform`");
    }
    Ok(format!("{}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", folder.display()))
}

/// The folder with one file for each kind.
pub fn ensure(sh: &Shell) -> Result<PathBuf> {
    cache::folder(sh, &key(sh)?, |partial| {
        let module = build::go(sh, NAME, &["mod", "download", "-json", "k8s.io/kubernetes"])?.read()?;
        let module: Value = serde_json::from_str(&module)?;
        let sources = module["Dir"].as_str().context("`go mod download` names a folder")?;
        let swagger = sh.read_file(PathBuf::from(sources).join("api/openapi-spec/swagger.json"))?;
        let whole = partial.join("whole");
        for (name, schema) in of_kinds(serde_json::from_str(&swagger)?)? {
            sh.write_file(whole.join(name), schema.to_string())?;
        }
        Ok(whole)
    })
}

fn key(sh: &Shell) -> Result<String> {
    build::key(sh, NAME, FORMAT)
}

/// For each kind, the name of its file and a schema that refers to no other file.
fn of_kinds(mut swagger: Value) -> Result<Vec<(String, Value)>> {
    let definitions = swagger["definitions"].as_object_mut().context("the description has definitions")?;
    for (name, definition) in definitions.iter_mut() {
        tighten(name, definition);
    }
    let mut schemas = Vec::new();
    for (name, definition) in &*definitions {
        let kinds = definition["x-kubernetes-group-version-kind"].as_array();
        // A kind of every group, such as `DeleteOptions`, is no object of a manifest.
        let Some([kind]) = kinds.map(Vec::as_slice) else { continue };
        let part = |key: &str| kind[key].as_str().unwrap_or_default().to_lowercase();
        let group = part("group");
        let group = group.split('.').next().unwrap_or_default();
        let dash = if group.is_empty() { "" } else { "-" };
        let file = format!("{}{dash}{group}-{}.json", part("kind"), part("version"));
        let used: Map<_, _> = used_by(name, definitions)
            .into_iter()
            .map(|used| (used.to_owned(), definitions[used].clone()))
            .collect();
        schemas.push((file, json!({ "$ref": format!("{REFERENCE}{name}"), "definitions": used })));
    }
    Ok(schemas)
}

/// Adds rules that the description has only in prose: no other fields than those listed, and scalars with two spellings.
fn tighten(name: &str, definition: &mut Value) {
    match name {
        "io.k8s.apimachinery.pkg.api.resource.Quantity" => {
            *definition = json!({ "type": ["string", "number"] });
        }
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString" => {
            *definition = json!({ "type": ["string", "integer"] });
        }
        _ => {
            if definition.get("properties").is_some() && definition.get("additionalProperties").is_none() {
                definition["additionalProperties"] = false.into();
            }
        }
    }
}

/// The definition, and all that it refers to, directly or through others.
fn used_by<'a>(name: &'a str, definitions: &'a Map<String, Value>) -> BTreeSet<&'a str> {
    let mut used = BTreeSet::new();
    let mut names = vec![name];
    while let Some(name) = names.pop() {
        if used.insert(name) {
            let mut values: Vec<_> = definitions.get(name).into_iter().collect();
            while let Some(value) = values.pop() {
                match value {
                    Value::Object(object) => values.extend(object.values()),
                    Value::Array(array) => values.extend(array),
                    Value::String(text) => names.extend(text.strip_prefix(REFERENCE)),
                    _ => {}
                }
            }
        }
    }
    used.retain(|name| definitions.contains_key(*name));
    used
}

#[cfg(test)]
mod tests {
    use xshell::cmd;

    use super::*;
    use crate::tools::{Tool, path};

    #[test]
    fn a_kind_brings_all_that_it_refers_to_and_refuses_other_fields() {
        let schemas = of_kinds(json!({ "definitions": {
            "Job": {
                "properties": { "spec": { "$ref": "#/definitions/Spec" } },
                "x-kubernetes-group-version-kind": [{ "group": "batch.example.org", "kind": "Job", "version": "v1" }],
            },
            "Spec": { "properties": { "inner": { "items": { "$ref": "#/definitions/Spec" } } } },
            "Other": {},
            "Pod": { "x-kubernetes-group-version-kind": [{ "group": "", "kind": "Pod", "version": "v1" }] },
        }}));
        let schemas = schemas.expect("a description");
        let names: Vec<_> = schemas.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["job-batch-v1.json", "pod-v1.json"]);
        let job = &schemas[0].1;
        assert_eq!(job["$ref"], "#/definitions/Job");
        assert_eq!(job["definitions"]["Job"]["additionalProperties"], false);
        assert_eq!(job["definitions"]["Spec"]["additionalProperties"], false);
        assert_eq!(job["definitions"].as_object().map(Map::len), Some(2));
    }

    #[test]
    fn kubeconform_finds_a_misspelt_field() {
        let sh = Shell::new().expect("a working folder");
        sh.change_dir(crate::project::root());
        let kubeconform = path(&sh, Tool::Kubeconform).unwrap_or_else(|error| panic!("{error}"));
        let location = location(&sh).unwrap_or_else(|error| panic!("{error}"));
        let accepts = |manifest: &str| {
            let check = cmd!(sh, "{kubeconform} -strict -schema-location {location} -").stdin(manifest);
            check.quiet().ignore_status().ignore_stderr().output().expect("kubeconform runs").status.success()
        };
        let job = "apiVersion: batch/v1\nkind: Job\nmetadata: { name: a }\nspec:\n  backoffLimit: 1\n  template:\n    spec:\n      \
                   restartPolicy: Never\n      containers: [{ name: a, resources: { limits: { cpu: 1 } } }]\n";
        assert!(accepts(job));
        assert!(!accepts(&job.replace("backoffLimit", "backOffLimit")));
        assert!(!accepts(&job.replace("backoffLimit: 1", "backoffLimit: one")));
        assert!(!accepts(&job.replace("restartPolicy", "restartPolice")));
    }
}
