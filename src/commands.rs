//! The commands, one file each, named as typed.

pub mod adopt;
pub mod migrate;
pub mod serve;
pub mod status;
pub mod verify;
pub mod wait;
