//! Why a value of a policy is not accepted. The value types decide; the words are here, so that they sound
//! alike.

/// Why a value is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Neither a friendly nor an ISO 8601 duration.
    #[error("`{text}` is not a duration such as `90s`, `5min` or `2h`")]
    Duration {
        /// What was written.
        text: String,
    },
    /// A timeout that would end before it began.
    #[error("a timeout of `{text}` is not longer than nothing")]
    Timeout {
        /// What was written.
        text: String,
    },
    /// Not a number with a unit of bytes, zero, or beyond 2⁶⁴.
    #[error("`{text}` is not a size such as `512 MiB` or `8 GiB`")]
    ByteSize {
        /// What was written.
        text: String,
    },
    /// A rollback needs a generation beside the running one.
    #[error("to keep {count} is too few: a rollback needs 2 generations or more")]
    GenerationCount {
        /// What was written.
        count: u32,
    },
    /// A probe that runs nothing.
    #[error("a probe needs a command: a list that starts with the program")]
    Command,
}
