//! The project's own tasks. A library, so that the end-to-end tests share what both need: the checkout, the programs, the image.

#![expect(
    missing_docs,
    reason = "its users are in this repository, and a name that says everything needs no sentence"
)]

pub mod bench;
pub mod gate;
pub mod generate;
pub mod image;
pub mod postgres;
pub mod project;
pub mod release;
pub mod render;
pub mod test;
pub mod tools;

#[cfg(test)]
mod tidy;
#[cfg(test)]
mod workflows;
