//! Generations: what was activated and confirmed, the points a machine can go back to.

use super::error::malformed;
use super::{Journal, JournalError};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

/// How a generation came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GenerationKind {
    /// The agent activated it.
    Activated,
    /// The machine ran it already when the agent first saw it.
    Adopted,
    /// A person asked to go back to an earlier one.
    RolledBack,
    /// The machine had drifted from it, and was made it again.
    Corrected,
}

impl GenerationKind {
    fn name(self) -> &'static str {
        match self {
            GenerationKind::Activated => "activated",
            GenerationKind::Adopted => "adopted",
            GenerationKind::RolledBack => "rolled-back",
            GenerationKind::Corrected => "corrected",
        }
    }

    fn from_name(name: &str) -> GenerationKind {
        match name {
            "adopted" => GenerationKind::Adopted,
            "rolled-back" => GenerationKind::RolledBack,
            "corrected" => GenerationKind::Corrected,
            _ => GenerationKind::Activated,
        }
    }
}

/// A generation about to be recorded; the journal gives it its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewGeneration {
    /// The commit, 40 hexadecimal digits.
    pub revision: String,
    /// The commit's first line.
    pub subject: String,
    /// The class's name.
    pub class: String,
    /// The Nix system, `x86_64-linux`.
    pub system: String,
    /// The machine's tags, which decide its policy.
    pub tags: Vec<String>,
    /// The store path.
    pub toplevel: String,
    /// The Nix profile's generation that points at it.
    pub profile_generation: Option<u64>,
    /// The secrets generation in force with it.
    pub secrets: Option<u64>,
    /// What secrets it needs, as JSON, so that going back needs no evaluation.
    pub requirements: Option<String>,
    /// How it came to be.
    pub kind: GenerationKind,
    /// `healthy` or `degraded`.
    pub health: String,
}

/// A recorded generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Generation {
    /// Its number, from 1, never reused.
    pub number: u64,
    /// What was recorded.
    #[serde(flatten)]
    pub record: NewGeneration,
    /// When it was committed.
    pub activated_at: Timestamp,
    /// How long its transaction took, in milliseconds.
    pub took_ms: u64,
}

const COLUMNS: &str = "number, revision, subject, class, system, toplevel, profile_generation, secrets,
    requirements, kind, health, activated_at, took_ms, tags";

fn generation(row: &Row<'_>) -> rusqlite::Result<Generation> {
    let kind: String = row.get(9)?;
    let activated_at: String = row.get(11)?;
    let tags: String = row.get(13)?;
    Ok(Generation {
        number: row.get(0)?,
        record: NewGeneration {
            revision: row.get(1)?,
            subject: row.get(2)?,
            class: row.get(3)?,
            system: row.get(4)?,
            tags: serde_json::from_str(&tags).map_err(|error| malformed(13, error))?,
            toplevel: row.get(5)?,
            profile_generation: row.get(6)?,
            secrets: row.get(7)?,
            requirements: row.get(8)?,
            kind: GenerationKind::from_name(&kind),
            health: row.get(10)?,
        },
        activated_at: activated_at
            .parse()
            .map_err(|error: jiff::Error| malformed(11, error))?,
        took_ms: row.get(12)?,
    })
}

impl Journal {
    /// The generation in force: the newest one.
    pub fn current_generation(&self) -> Result<Option<Generation>, JournalError> {
        self.connection
            .query_row(
                &format!("SELECT {COLUMNS} FROM generations ORDER BY number DESC LIMIT 1"),
                [],
                generation,
            )
            .optional()
            .map_err(JournalError::reading("the generation in force"))
    }

    /// One generation by its number.
    pub fn generation(&self, number: u64) -> Result<Option<Generation>, JournalError> {
        self.connection
            .query_row(
                &format!("SELECT {COLUMNS} FROM generations WHERE number = ?1"),
                [number],
                generation,
            )
            .optional()
            .map_err(JournalError::reading("a generation"))
    }

    /// All generations, newest first.
    pub fn generations(&self) -> Result<Vec<Generation>, JournalError> {
        let reading = || JournalError::reading("the generations");
        let mut statement = self
            .connection
            .prepare(&format!("SELECT {COLUMNS} FROM generations ORDER BY number DESC"))
            .map_err(reading())?;
        let rows = statement.query_map([], generation).map_err(reading())?;
        rows.collect::<Result<_, _>>().map_err(reading())
    }

    /// The newest generation of a revision.
    pub fn generation_of(&self, revision: &str) -> Result<Option<Generation>, JournalError> {
        Ok(self
            .generations()?
            .into_iter()
            .find(|generation| generation.record.revision == revision))
    }

    /// Records a generation and returns its number.
    pub fn add_generation(
        &self,
        new: &NewGeneration,
        at: Timestamp,
        took_ms: u64,
    ) -> Result<u64, JournalError> {
        let number = self.next_generation()?;
        self.connection
            .execute(
                &format!(
                    "INSERT INTO generations ({COLUMNS}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)"
                ),
                params![
                    number,
                    new.revision,
                    new.subject,
                    new.class,
                    new.system,
                    new.toplevel,
                    new.profile_generation,
                    new.secrets,
                    new.requirements,
                    new.kind.name(),
                    new.health,
                    at.to_string(),
                    took_ms,
                    serde_json::to_string(&new.tags).unwrap_or_else(|_| "[]".to_owned())
                ],
            )
            .map_err(JournalError::writing("a generation"))?;
        Ok(number)
    }

    /// The number the next generation will have.
    pub fn next_generation(&self) -> Result<u64, JournalError> {
        self.connection
            .query_row(
                "SELECT coalesce(max(number), 0) + 1 FROM generations",
                [],
                |row| row.get(0),
            )
            .map_err(JournalError::reading("the last generation's number"))
    }
}
