//! Everything that is decided, in PostgreSQL.
