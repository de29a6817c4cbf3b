//! `report`: the report of a dictionary as files.

use engine::views::SAFETY;
use engine::{JobContext, ReportFiles, Result, Session};
use serde_json::json;

use crate::arguments::ReportArguments;
use crate::text::Answer;

/// Measures where nothing that holds is kept, and writes the files.
pub(crate) fn report(
    arguments: &ReportArguments,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    let files = ReportFiles {
        page: arguments.file.clone().or_else(|| arguments.out.clone()),
        csv: arguments.csv.clone(),
        svg: arguments.svg.clone(),
        png: arguments.png.clone(),
    };
    files.check()?;
    let report = session.measured_report(&arguments.sae, arguments.again, job)?;
    let written = Session::write_report(&report, &files, job)?;
    let lines: String = written
        .iter()
        .map(|file| format!("Wrote {}\n", file.display()))
        .collect::<Vec<_>>()
        .concat()
        + SAFETY
        + "\n";
    let kept = report.evaluation.as_ref();
    let value = json!({
        "dictionary": arguments.sae,
        "files": written,
        "charts": report.charts,
        "evaluation": kept.map(|kept| &kept.report),
        "evaluated_at": kept.map(|kept| &kept.at),
        "associations": report.associations,
        "explanations": report.explanations,
    });
    Ok(Answer::new(value, lines))
}
