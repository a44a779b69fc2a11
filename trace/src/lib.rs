//! Decision records to words and JSON
