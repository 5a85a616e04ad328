//! The values of a policy, each valid by construction and read from the form that people write. They own
//! their bounds; which value is in force is the policy's.

mod age;
mod byte_size;
mod drift_response;
mod duration;
mod error;
mod generation_count;
mod kernel_change;
mod probe;
mod retry_count;
mod unit_name;

pub use age::Age;
pub use byte_size::ByteSize;
pub use drift_response::DriftResponse;
pub use duration::{Grace, Timeout};
pub use error::ValueError;
pub use generation_count::GenerationCount;
pub use kernel_change::KernelChange;
pub use probe::{Check, Command, Probe};
pub use retry_count::RetryCount;
pub use unit_name::UnitName;
