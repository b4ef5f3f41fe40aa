//! The SQLSTATEs that Corveil handles, by the names of PostgreSQL's `errcodes.txt`.

pub(crate) const PROTOCOL_VIOLATION: &str = "08P01";
pub(crate) const INVALID_PARAMETER_VALUE: &str = "22023";
pub(crate) const NOT_NULL_VIOLATION: &str = "23502";
pub(crate) const UNIQUE_VIOLATION: &str = "23505";
pub(crate) const ACTIVE_SQL_TRANSACTION: &str = "25001";
pub(crate) const READ_ONLY_SQL_TRANSACTION: &str = "25006";
pub(crate) const INVALID_AUTHORIZATION_SPECIFICATION: &str = "28000";
pub(crate) const INVALID_PASSWORD: &str = "28P01";
pub(crate) const INVALID_TRANSACTION_TERMINATION: &str = "2D000";
pub(crate) const INVALID_CATALOG_NAME: &str = "3D000";
pub(crate) const INVALID_SCHEMA_NAME: &str = "3F000";
pub(crate) const SERIALIZATION_FAILURE: &str = "40001";
pub(crate) const DEADLOCK_DETECTED: &str = "40P01";
pub(crate) const INSUFFICIENT_PRIVILEGE: &str = "42501";
pub(crate) const SYNTAX_ERROR: &str = "42601";
pub(crate) const INVALID_NAME: &str = "42602";
pub(crate) const UNDEFINED_COLUMN: &str = "42703";
pub(crate) const UNDEFINED_OBJECT: &str = "42704";
pub(crate) const DUPLICATE_OBJECT: &str = "42710";
pub(crate) const DATATYPE_MISMATCH: &str = "42804";
pub(crate) const UNDEFINED_FUNCTION: &str = "42883";
pub(crate) const UNDEFINED_TABLE: &str = "42P01";
pub(crate) const DUPLICATE_TABLE: &str = "42P07";
pub(crate) const OUT_OF_MEMORY: &str = "53200";
pub(crate) const TOO_MANY_CONNECTIONS: &str = "53300";
pub(crate) const CONFIGURATION_LIMIT_EXCEEDED: &str = "53400";
pub(crate) const CANT_CHANGE_RUNTIME_PARAM: &str = "55P02";
pub(crate) const LOCK_NOT_AVAILABLE: &str = "55P03";
pub(crate) const QUERY_CANCELED: &str = "57014";

/// The class of the codes that report insufficient resources.
pub(crate) const INSUFFICIENT_RESOURCES: &str = "53";
