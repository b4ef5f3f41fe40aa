//! The paths, and what each answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::metrics;
use crate::operations::watch::Watch;
use crate::output::clean;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn all(watch: Arc<Watch>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/health/ready", get(ready))
        .route("/metrics", get(scrape))
        .with_state(watch)
}

/// The process serves. It never asks the database: restarting a pod repairs no database.
async fn health() -> Response {
    document(StatusCode::OK, &json!({ "status": "ok", "version": VERSION }))
}

/// The schema is as this build requires or newer, or what is missing.
async fn ready(State(watch): State<Arc<Watch>>) -> Response {
    let seen = watch.check().await;
    let (code, status) = match seen.obstacle() {
        None => (StatusCode::OK, "ok"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let mut body = json!({ "status": status, "version": VERSION, "required_version": seen.required });
    if let Some(reason) = seen.obstacle() {
        body["reason"] = json!(reason);
    }
    if let Ok(schema) = &seen.schema {
        body["schema_version"] = json!(schema.version);
        body["missing"] = json!(schema.missing);
    }
    document(code, &body)
}

/// The same for Prometheus. A silent database is a value, not a failed scrape.
async fn scrape(State(watch): State<Arc<Watch>>) -> Response {
    let text = metrics::text(VERSION, &*watch.check().await);
    answer(StatusCode::OK, metrics::CONTENT_TYPE, clean::text(&text))
}

fn document(code: StatusCode, body: &Value) -> Response {
    answer(code, "application/json", clean::json(&body.to_string()))
}

fn answer(code: StatusCode, content_type: &'static str, body: String) -> Response {
    (code, [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")], body).into_response()
}
