//! Values of how Kubernetes watches over the app's container, and ends it.

use crate::generate::values::{Key, Shape, flag, from_yaml, integer, section, value};

pub(crate) fn keys() -> Vec<Key> {
    let liveness = timing("liveness", 10, 15, 3);
    let readiness = timing("readiness", 10, 10, 3);
    let mut startup = vec![flag("enabled", false, "Add a startup probe, for an app that starts slowly")];
    startup.extend(timing("startup", 0, 5, 60));
    vec![
        section("livenessProbe", "The liveness probe of the app, `GET /health`", liveness),
        section(
            "readinessProbe",
            "The readiness probe of the app, `GET /health/ready`, which checks the database",
            readiness,
        ),
        section(
            "startupProbe",
            "The startup probe of the app, `GET /health`, which delays the other two probes",
            startup,
        ),
        value(
            "lifecycle",
            Shape::Object,
            from_yaml("{}"),
            "Lifecycle hooks of the app's container; a `preStop` hook replaces the chart's, which sleeps \
             for 5 s, because requests arrive until every node has removed the endpoint",
        ),
    ]
}

/// What a probe may be given: it is always the same request.
fn timing(probe: &str, delay: i64, period: i64, failures: i64) -> Vec<Key> {
    let keys = [
        integer(
            "initialDelaySeconds",
            0,
            delay,
            "Seconds between the start of the app's container and the first {} probe",
        ),
        integer("periodSeconds", 1, period, "Seconds from one {} probe to the next"),
        integer("timeoutSeconds", 1, 5, "Seconds after which a {} probe without an answer fails"),
        integer(
            "failureThreshold",
            1,
            failures,
            "Number of {} probes in a row that have to fail before Kubernetes acts",
        ),
    ];
    keys.map(|key| key.about(probe)).into()
}
