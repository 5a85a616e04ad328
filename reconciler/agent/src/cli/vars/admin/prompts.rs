//! The answers to the prompts of all generators that run, before the first of them does. An answer comes from a
//! file, from what is stored, or from the person; all that are missing are named at once.

use super::args::PromptFile;
use super::error::AdminError;
use super::fleet::{Declared, Fleet, say};
use super::terminal;
use reconciler_vars::generators::{
    Answer, FileId, GeneratorId, Prompt, PromptId, PromptProblem, Reason, Run, Wanted,
};
use reconciler_vars::{Decrypted, Identities, Tree, Wiped, decrypt_file};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use zeroize::Zeroizing;

/// Answers by generator and prompt.
pub(super) type Answers = BTreeMap<GeneratorId, BTreeMap<String, Answer>>;

/// The most that is read of an answer, in bytes.
const LARGEST: u64 = 16 << 20;

/// Gathers the answers.
pub(super) fn gather(
    fleet: &Fleet,
    declared: &Declared,
    runs: &[Run],
    files: &[PromptFile],
    identities: &Identities,
    wanted: Wanted,
) -> Result<Answers, AdminError> {
    let mut given = read_files(files)?;
    let mut answers = Answers::new();
    let mut missing = Vec::new();
    let ask = terminal::is_there() && !files.iter().any(|pair| pair.file == "-");
    for run in runs {
        let Some(node) = declared.graph.get(&run.id) else {
            continue;
        };
        let of_run = answers.entry(run.id.clone()).or_default();
        let mut heading = None;
        for (name, prompt) in &node.definition.prompts {
            let id = PromptId::of(&run.id, name);
            let found = given.iter_mut().find(|given| given.prompt.names(&run.id, name));
            if let Some(found) = found {
                found.used = true;
                let answer = prompt.accept(Zeroizing::new(found.content.to_vec()));
                let answer = answer.map_err(|source| refused(&id, source))?;
                of_run.insert(name.clone(), answer);
                continue;
            }
            let stored = stored(fleet, &run.id, name, prompt, identities);
            // A person who wants new values is asked for them.
            let anew = wanted == Wanted::Everything && run.reason == Reason::Requested;
            match stored {
                Some(stored) if !anew => {
                    of_run.insert(name.clone(), stored);
                }
                stored if ask => {
                    let group = prompt.display.group.clone();
                    if group != heading {
                        say(group.as_deref().unwrap_or_default());
                        heading = group;
                    }
                    of_run.insert(name.clone(), answer(&id, name, prompt, stored)?);
                }
                _ => missing.push(described(&id, prompt)),
            }
        }
    }
    if let Some(unused) = given.iter().find(|given| !given.used) {
        return Err(AdminError::NoPrompt {
            prompt: unused.prompt.to_string(),
        });
    }
    if missing.is_empty() {
        Ok(answers)
    } else {
        Err(AdminError::Unanswered { prompts: missing })
    }
}

fn refused(id: &PromptId, source: PromptProblem) -> AdminError {
    AdminError::Answer {
        prompt: id.to_string(),
        source,
    }
}

fn described(id: &PromptId, prompt: &Prompt) -> String {
    if prompt.description.is_empty() {
        id.to_string()
    } else {
        format!("{id}  {}", prompt.description)
    }
}

/// Asks until the answer can be one.
fn answer(id: &PromptId, name: &str, prompt: &Prompt, stored: Option<Answer>) -> Result<Answer, AdminError> {
    if let Some(help) = &prompt.display.helper_text {
        say(&format!("  {help}"));
    }
    let label = prompt.display.label.as_deref().unwrap_or(name);
    let mut question = format!("{id}");
    if label != name {
        question.push_str(&format!(", {label}"));
    }
    if !prompt.description.is_empty() {
        question.push_str(&format!(" – {}", prompt.description));
    }
    if stored.is_some() {
        question.push_str(" [empty keeps what is stored]");
    }
    loop {
        let typed = terminal::ask(&crate::text::plain(&question), prompt.kind)?;
        if let Some(stored) = stored.as_ref().filter(|_| typed.is_empty()) {
            return Ok(stored.clone());
        }
        match prompt.accept(typed) {
            Ok(answer) => return Ok(answer),
            Err(problem) => say(&format!("  {problem}")),
        }
    }
}

/// The answer that was kept as a file of the generator.
fn stored(
    fleet: &Fleet,
    id: &GeneratorId,
    name: &str,
    prompt: &Prompt,
    identities: &Identities,
) -> Option<Answer> {
    if !prompt.persist {
        return None;
    }
    let folder = format!("{}/{name}", id.folder());
    if let Ok(Some(value)) = fleet.tree.read(&format!("{folder}/value")) {
        return Some(Zeroizing::new(value));
    }
    let sealed = fleet.tree.read(&format!("{folder}/secret")).ok()??;
    decrypt_file(&sealed, identities)
        .and_then(Decrypted::into_bytes)
        .ok()
}

struct Given {
    prompt: PromptId,
    content: Zeroizing<Vec<u8>>,
    used: bool,
}

fn read_files(files: &[PromptFile]) -> Result<Vec<Given>, AdminError> {
    let mut given = Vec::new();
    for pair in files {
        let failed = |source| AdminError::ReadFile {
            file: pair.file.clone(),
            source,
        };
        let file = if pair.file == "-" {
            terminal::input()
        } else {
            File::open(&pair.file)
        };
        let content = file.and_then(|file| Wiped::read(file.take(LARGEST)));
        given.push(Given {
            prompt: pair.prompt.clone(),
            content: content.map_err(failed)?.into_bytes(),
            used: false,
        });
    }
    Ok(given)
}

/// The value that a person sets: all of standard input, or what is typed where that is a terminal.
pub(super) fn value(
    machine: &str,
    file: &FileId,
    kind: reconciler_vars::generators::PromptKind,
) -> Result<Answer, AdminError> {
    if terminal::is_there() {
        return terminal::ask(&format!("{file} of {machine}"), kind);
    }
    let content = terminal::input().and_then(|input| Wiped::read(input.take(LARGEST)));
    let content = content.map_err(|source| AdminError::ReadFile {
        file: "standard input".into(),
        source,
    })?;
    Ok(content.into_bytes())
}
