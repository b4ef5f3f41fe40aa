//! Schema migrations that gate rollouts, the same way under Helm, Helmfile and Argo CD.
//!
//! Layers, each using only those below it: `main`, [`cli`], [`commands`], [`operations`], then [`postgres`] and [`output`], then
//! [`config`], then [`core`], then [`error`] and [`exit`].

pub mod cli;
pub mod commands;
pub mod compute;
pub mod config;
pub mod core;
pub mod error;
pub mod exit;
pub mod memory;
pub mod operations;
pub mod output;
pub mod postgres;
pub mod stop;
