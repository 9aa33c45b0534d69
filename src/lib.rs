//! rolecall.
