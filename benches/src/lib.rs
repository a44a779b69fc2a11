//! One file, one question
