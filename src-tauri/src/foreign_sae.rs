//! `sae import` and `sae locate`: dictionaries of other tools, and what is printed of them.
#![expect(
    clippy::format_push_string,
    reason = "a few lines of text at the end of a command; clarity counts, not allocations"
)]

use engine::{
    EngineError, JobContext, LayerTest, LocateRequest, Result, SaeImport, SaeImportRequest, Session,
};
use serde_json::json;

use crate::arguments::SaeImportArguments;
use crate::text::Answer;

/// `sae import`.
pub(crate) fn import(
    arguments: &SaeImportArguments,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    let hook = arguments
        .hook
        .as_ref()
        .map(|hook| hook.parse().map_err(EngineError::from))
        .transpose()?;
    let imported = session.import_sae(
        &SaeImportRequest {
            name: arguments.name.clone(),
            path: arguments.path.clone(),
            format: arguments.format.clone(),
            harvest: arguments.harvest.clone(),
            model: arguments.model.clone(),
            dataset: arguments.dataset.clone(),
            hook,
            hooks: arguments.hooks.clone(),
            limit: arguments.limit,
            k: arguments.k,
        },
        job,
    )?;
    Ok(Answer::new(json!(imported), import_lines(&imported)))
}

/// `sae locate`.
pub(crate) fn locate(
    request: &LocateRequest,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    let tests = session.locate_sae(request, job)?;
    let lines = tests.iter().map(test_lines).collect();
    Ok(Answer::new(json!({ "dictionaries": tests }), lines))
}

fn import_lines(imported: &SaeImport) -> String {
    let mut lines = String::new();
    for one in &imported.dictionaries {
        lines += &format!("{}\n", one.sentence());
        for table in &one.tables {
            lines += &format!("  {}\n", table.sentence());
        }
        if let Some(test) = &one.layer_test {
            lines += &test_lines(test);
        }
        for note in &one.notes {
            lines += &format!("  Note: {note}\n");
        }
        lines += &format!("  Its gallery: fluoroscope features index {}\n", one.name);
    }
    for skipped in &imported.skipped {
        lines += &format!("Left out {}: {}\n", skipped.place, skipped.reason);
    }
    lines
}

fn test_lines(test: &LayerTest) -> String {
    let k = test
        .k
        .map_or_else(String::new, |k| format!(", made for k = {k}"));
    let mut lines = format!(
        "  Layer self-test of {} on {} rows of {}{k}\n",
        test.sae, test.n_rows, test.dataset
    );
    for candidate in &test.candidates {
        let mark = if test.lowest == Some(candidate.hook) {
            "  lowest"
        } else {
            ""
        };
        lines += &format!(
            "    {:<28} FVU {:>8.4}  L0 {:>8.2}{mark}\n",
            candidate.hook.to_string(),
            candidate.fvu,
            candidate.l0
        );
    }
    lines + &format!("    {}\n", test.sentence)
}
