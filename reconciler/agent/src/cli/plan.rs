//! `reconcile plan`: what a pass would do, found out without touching anything.

use super::args::PlanOptions;
use super::change;
use super::context::{Context, Detail};
use super::failure::CliError;
use super::{now, page};
use crate::exit::Outcome;
use crate::pass::{Cause, Depth, Insistence, Request};

pub(super) fn run(context: &Context, options: &PlanOptions) -> Result<Outcome, CliError> {
    let request = Request {
        revision: options.revision.clone(),
        depth: if options.no_build {
            Depth::Unbuilt
        } else {
            Depth::DryRun
        },
        insistence: Insistence::Asked,
        ..Request::of(Cause::Now)
    };
    let detail = if options.json {
        Detail::Quiet
    } else {
        context.detail
    };
    let ended = now::make(context, &request, detail)?;
    if options.json {
        page::json(&ended)?;
        return Ok(ended.outcome);
    }
    if let Some(change) = &ended.change {
        page::text(&change::page(context, change))?;
    }
    now::tell(context, &ended)?;
    Ok(ended.outcome)
}
