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
    /// Nothing that is so many days or hours old.
    #[error("`{text}` is not an age such as `30 days`, `2w` or `36h`")]
    Age {
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
    /// Nothing that systemd could know.
    #[error("`{text}` is not the name of a unit with its type, such as `sshd.service`")]
    UnitName {
        /// What was written.
        text: String,
    },
    /// A probe that runs nothing.
    #[error("a probe needs a command: a list that starts with the program")]
    Command,
    /// A probe that looks at nothing, or at two things.
    #[error("a probe has exactly one of `command`, `http`, `tcp` and `unit`")]
    Probe,
    /// A status for what answers with none.
    #[error("`status` belongs to a probe with `http`")]
    ProbeStatus,
    /// Nothing that could be asked over http.
    #[error("`{text}` with its status is not a URL of http or https and a status such as 200")]
    ProbeUrl {
        /// What was written.
        text: String,
    },
    /// Nothing that could be connected to.
    #[error("`{text}` is not a host and a port such as `localhost:22` or `[::1]:22`")]
    ProbeAddress {
        /// What was written.
        text: String,
    },
    /// Nothing that could be a unit.
    #[error("`{text}` is not the name of a unit such as `sshd.service`")]
    ProbeUnit {
        /// What was written.
        text: String,
    },
    /// More tries than any probe needs.
    #[error("{count} further tries are too many: 10 at the most")]
    RetryCount {
        /// What was written.
        count: u32,
    },
}
