//! Schema migrations that gate rollouts, the same way under Helm, Helmfile and Argo CD.
//!
//! Layers, each using only those below it: `main`, `commands`, then `postgres`, `output` and `config`, then `core`.

pub mod core;
