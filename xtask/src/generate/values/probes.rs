//! Values of how Kubernetes watches over the app's container, and ends it.

use crate::generate::values::{Key, Shape, flag, from_yaml, integer, section, value};

pub(crate) fn keys() -> Vec<Key> {
    let liveness = timing(10, 15, 3);
    let readiness = timing(10, 10, 3);
    let mut startup = vec![flag("enabled", false, "Add the startup probe, for an app that starts slowly")];
    startup.extend(timing(0, 5, 60));
    vec![
        section("livenessProbe", "The liveness probe of the app, `GET /health`", liveness),
        section(
            "readinessProbe",
            "The readiness probe of the app, `GET /health/ready`, which looks at the database",
            readiness,
        ),
        section(
            "startupProbe",
            "A startup probe of the app, `GET /health`, before the other two begin",
            startup,
        ),
        value(
            "lifecycle",
            Shape::Object,
            from_yaml("{}"),
            "Lifecycle hooks of the app's container; a `preStop` of yours replaces the chart's, which sleeps for 5 s, because \
             requests arrive until every node has removed the endpoint",
        ),
    ]
}

/// What a probe may be given: it is always the same request.
fn timing(delay: i64, period: i64, failures: i64) -> Vec<Key> {
    vec![
        integer("initialDelaySeconds", 0, delay, "Seconds between the container's start and the first probe"),
        integer("periodSeconds", 1, period, "Seconds from one probe to the next"),
        integer("timeoutSeconds", 1, 5, "Seconds that an answer to the probe may take"),
        integer("failureThreshold", 1, failures, "Probes in a row that have to fail before Kubernetes acts"),
    ]
}
