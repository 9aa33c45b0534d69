//! The rules of rolecall, without PostgreSQL in them, so that they are tested in milliseconds.
