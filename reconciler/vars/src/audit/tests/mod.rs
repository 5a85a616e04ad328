//! Whole fleets, each with one defect.

mod age_store;
mod declarations;
mod disk;
mod fleet;
