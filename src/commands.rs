//! The commands, one file each, named as typed.

pub(crate) mod adopt;
pub(crate) mod migrate;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod verify;
pub(crate) mod wait;
