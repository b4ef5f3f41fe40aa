//! The work of the commands: opening a database, the schema that files make, adopting, the gate itself, watching. Flags and results are
//! the commands'.

pub(crate) mod adopt;
pub(crate) mod expected;
pub(crate) mod gate;
pub(crate) mod open;
pub(crate) mod target;
pub(crate) mod watch;
