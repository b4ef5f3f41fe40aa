//! The tasks of the repository. They are a library, so that the end-to-end tests share the checkout, the programs and the
//! image with them.

#![expect(missing_docs, reason = "its users are in this repository, and a clear name needs no sentence")]

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
