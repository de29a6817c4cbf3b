//! `steer`: before and after, or a dose-response sweep beside random directions.

use std::fmt::Write as _;
use std::path::Path;

use engine::views::{
    ChartValue, SAFETY, SteerOutcome, SteerRequest, SteerView, SteeringExport, SteeringPart,
    SweepRange, SweepRequest, SweepView,
};
use engine::{EngineError, JobContext, Result, Session};
use schema::{PositionScope, STEERING_CAUTION, SteeringSpec, StrengthUnit};
use serde_json::json;

use crate::ablation::steering_mode;
use crate::arguments::SteerArguments;
use crate::text::{self, Answer};

/// Steers one sample, once or at many strengths.
pub(crate) fn steer(
    arguments: &SteerArguments,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    let part = arguments
        .out
        .as_deref()
        .map(|file| part_of(file, arguments.sweep.is_some()))
        .transpose()?;
    let dataset = session.dataset_of(&arguments.sae)?;
    let request = SteerRequest {
        sae: arguments.sae.clone(),
        sample: session.find_sample(&dataset, &arguments.sample)?,
        edits: edits(arguments)?,
        control: false,
    };
    let beyond: Vec<String> = request
        .edits
        .iter()
        .filter(|edit| edit.unit == StrengthUnit::Max && edit.strength.abs() > STEERING_CAUTION)
        .map(|edit| format!("{} at {:.1} times", edit.feature, edit.strength))
        .collect();
    if !beyond.is_empty() {
        job.warn(format!(
            "feature {} its highest activation: beyond {STEERING_CAUTION:.0} times models mostly write \
             nothing of sense",
            beyond.join(", ")
        ));
    }
    let (mut answer, known, sweep) = match &arguments.sweep {
        None => {
            let view = session.steer(&request, job)?;
            let answer = Answer::new(json!(view), outcome_lines(&view));
            (answer, Some(view), None)
        }
        Some(range) => {
            let view = swept(arguments, session, (&request, range), job)?;
            let answer = Answer::new(json!(view), sweep_lines(&view));
            (answer, None, Some(view))
        }
    };
    if let Some(view) = sweep.as_ref().filter(|view| !view.is_complete()) {
        // What was measured is worth its lines; the status says that it is not all.
        answer.failed = true;
        writeln!(
            answer.lines,
            "Stopped after {} of {} runs",
            view.n_runs(),
            view.n_planned
        )
        .ok();
    }
    if let (Some(file), Some(part)) = (&arguments.out, part) {
        let export = SteeringExport {
            name: String::new(),
            request,
            known,
            sweep,
            part,
        };
        session.export_steering(&export, file, &JobContext::silent())?;
        writeln!(answer.lines, "Wrote {}", file.display()).ok();
    }
    Ok(answer)
}

/// What a file of this ending holds.
fn part_of(file: &Path, has_sweep: bool) -> Result<SteeringPart> {
    let ending = file.extension().and_then(|ending| ending.to_str());
    match ending {
        Some("csv") if has_sweep => Ok(SteeringPart::Table),
        Some("json") => Ok(SteeringPart::Json),
        Some("html") => Ok(SteeringPart::Page),
        _ => Err(EngineError::request(format!(
            "\"{}\": expected a file that ends in .json or .html, or with --sweep in .csv",
            file.display()
        ))),
    }
}

fn edits(arguments: &SteerArguments) -> Result<Vec<SteeringSpec>> {
    let mode = steering_mode(arguments.mode);
    let scope: PositionScope = arguments
        .positions
        .parse()
        .map_err(|error: schema::UnknownScope| EngineError::request(error.to_string()))?;
    let edits = arguments.features.iter().map(|text| {
        let alone = !text.contains('=') && arguments.sweep.is_some();
        let edit = if alone {
            engine::parse_edit(&format!("{text}=1"), mode)
        } else {
            engine::parse_edit(text, mode)
        };
        edit.map(|edit| SteeringSpec { scope, ..edit })
    });
    edits.collect()
}

fn swept(
    arguments: &SteerArguments,
    session: &Session,
    (request, range): (&SteerRequest, &str),
    job: &JobContext,
) -> Result<SweepView> {
    let range = SweepRange::parse(range, arguments.steps).ok_or_else(|| {
        EngineError::request(format!(
            "\"{range}\" is no range of strengths; expected for example -4..4"
        ))
    })?;
    let request = SweepRequest {
        steer: request.clone(),
        range,
        n_controls: arguments.controls,
        seed: arguments.seed,
    };
    session.sweep(&request, job, &mut |_| {})
}

fn outcome_lines(view: &SteerView) -> String {
    match &view.outcome {
        SteerOutcome::Text {
            before,
            after,
            reads_findings,
            gained,
            lost,
            ..
        } => {
            let mut lines = format!("Before: {before}\nAfter:  {after}\n");
            if *reads_findings {
                let (gained, lost) = (text::or_none(gained), text::or_none(lost));
                // Writing to a string cannot fail.
                write!(lines, "Findings gained: {gained}\nFindings lost: {lost}\n").ok();
            }
            lines
        }
        SteerOutcome::Ranking {
            after,
            rank_before,
            target_rank,
            ..
        } => text::ranking(after, rank_before, *target_rank),
    }
}

fn value_of(value: Option<ChartValue>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.words())
}

/// A line per strength: each measure of the features and of the random directions, then findings.
fn sweep_lines(view: &SweepView) -> String {
    let charts = view.charts();
    let mut heads = vec![
        if view.request.is_by_factor() {
            "factor"
        } else {
            "strength"
        }
        .to_owned(),
    ];
    for chart in &charts {
        heads.push(chart.axis.name.to_lowercase());
        if view.request.n_controls > 0 {
            heads.push("random directions".to_owned());
        }
    }
    if view.unsteered.findings().is_some() {
        heads.push("gained".to_owned());
        heads.push("lost".to_owned());
    }
    let mut rows = vec![heads];
    for (at, point) in view.points.iter().enumerate() {
        let mut row = vec![schema::rounded(f64::from(point.strength), 2)];
        for chart in &charts {
            for series in &chart.series {
                row.push(value_of(series.values.get(at).copied().flatten()));
            }
        }
        if let Some(findings) = point.features.findings() {
            row.push(text::or_none(&findings.gained));
            row.push(text::or_none(&findings.lost));
        }
        rows.push(row);
    }
    let mut lines = aligned(&rows);
    if view.request.n_controls > 0 {
        writeln!(
            lines,
            "Random directions: {} of seed {}, each changed by as much; mean (least to largest)",
            view.request.n_controls, view.request.seed
        )
        .ok();
    }
    if !view.promoted.is_empty() {
        writeln!(lines, "Promoted items: {}", view.promoted.join("; ")).ok();
    }
    lines + SAFETY + "\n"
}

/// Columns as wide as their widest cell.
fn aligned(rows: &[Vec<String>]) -> String {
    let n = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..n).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, &width)| format!("{cell:>width$}"))
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect::<Vec<_>>().concat()
}
