//! `review`: hands the arguments to the engine and prints what it gave.
#![expect(
    clippy::format_push_string,
    reason = "lines for a terminal, not a hot loop"
)]

use std::io::{stdin, stdout};

use engine::views::{
    AgreementFigures, AgreementReport, Disagreement, Estimate, QueueKind, QueueOrder, QueueRequest,
};
use engine::{
    DecisionRequest, EngineError, ImportedDecisions, JobContext, Recorded, Result, Session,
};
use schema::{CaseRole, FeatureId, ReviewMode, rounded};
use serde_json::json;

use crate::arguments::{
    DecideArguments, DecisionFormat, For, Order, QueueArguments, ReviewCommand, When,
};
use crate::text::{Answer, or_none};

pub(crate) fn run(command: &ReviewCommand, session: &Session, job: &JobContext) -> Result<Answer> {
    match command {
        ReviewCommand::Packet(arguments) => crate::packet::packet(arguments, session, job),
        ReviewCommand::Decide(arguments) => decide(arguments, session),
        ReviewCommand::Queue(arguments) => queue(arguments, session),
        ReviewCommand::Export { sae, file, format } => {
            let (n, what) = match format {
                DecisionFormat::Own => (session.export_decisions(sae, file)?, "decisions"),
                DecisionFormat::Argilla => (session.export_argilla(sae, file)?, "records"),
            };
            Ok(Answer::new(
                json!({ what: n, "file": file }),
                format!("Wrote {n} {what} to {}\n", file.display()),
            ))
        }
        ReviewCommand::Import {
            sae,
            file,
            reviewer,
        } => {
            let imported = session.import_decisions(sae, file, reviewer.as_deref())?;
            let lines = imported_lines(&imported);
            Ok(Answer::new(json!(imported), lines))
        }
        ReviewCommand::Agreement { sae } => {
            let report = session.agreement(sae)?;
            let lines = agreement_lines(&report);
            Ok(Answer::new(json!(report), lines))
        }
    }
}

fn decide(arguments: &DecideArguments, session: &Session) -> Result<Answer> {
    let DecideArguments { sae, reviewer, .. } = arguments;
    if arguments.undo || arguments.redo {
        let (done, what) = if arguments.undo {
            (session.undo(sae, reviewer)?, "take back")
        } else {
            (session.redo(sae, reviewer)?, "restore")
        };
        let recorded =
            done.ok_or_else(|| EngineError::request(format!("there is nothing to {what}")))?;
        return Ok(recorded_answer(sae, &recorded));
    }
    let (Some(feature), Some(state)) = (arguments.feature, &arguments.state) else {
        let done = session.decide_stream(sae, reviewer, &mut stdin().lock(), &mut stdout())?;
        if done.n_refused > 0 {
            return Err(EngineError::request(format!(
                "{} lines were refused, each with the reason in its answer; {} were recorded",
                done.n_refused, done.n_recorded
            )));
        }
        return Ok(Answer::new(json!(done), String::new()));
    };
    let request = DecisionRequest {
        feature: FeatureId(feature),
        state: engine::parse_state(state)?,
        text: arguments.text.clone().unwrap_or_default(),
        reviewer: reviewer.clone(),
        role: if arguments.adjudicate {
            CaseRole::Adjudication
        } else {
            CaseRole::First
        },
        confidence: arguments.confidence,
        flagged: arguments.flag,
        ..DecisionRequest::default()
    };
    Ok(recorded_answer(sae, &session.record(sae, &request)?))
}

fn recorded_answer(sae: &str, recorded: &Recorded) -> Answer {
    let decision = &recorded.decision;
    let verb = if decision.takes_back.is_some() {
        "Now, for this reviewer,"
    } else {
        "Recorded:"
    };
    let text = if decision.text.is_empty() {
        String::new()
    } else {
        format!(", {}", decision.text)
    };
    let line = format!(
        "{verb} feature {} of {sae} is {}{text}\n",
        decision.feature,
        decision.state.word(),
    );
    Answer::new(json!(recorded), line)
}

fn queue(arguments: &QueueArguments, session: &Session) -> Result<Answer> {
    let request = QueueRequest {
        reviewer: arguments.reviewer.clone(),
        kind: match arguments.purpose {
            For::Label => QueueKind::Label,
            For::SecondReader => QueueKind::SecondReader,
            For::Adjudicate => QueueKind::Adjudicate,
            For::Flagged => QueueKind::Flagged,
        },
        order: match arguments.order {
            Order::Clearest => QueueOrder::Clearest,
            Order::Score => QueueOrder::LowestScore,
            Order::Disagreement => QueueOrder::Disagreement,
            Order::Density => QueueOrder::Density,
            Order::Random => QueueOrder::Random,
        },
        mode: match arguments.when {
            When::ProposalFirst => ReviewMode::ProposalFirst,
            When::WriteFirst => ReviewMode::WriteFirst,
            When::Blind => ReviewMode::Blind,
        },
        seed: arguments.seed,
        no_controls: arguments.no_controls,
        everything: arguments.everything,
    };
    let progress = session.review_progress(&arguments.sae, &request)?;
    let cases: Vec<_> = session
        .queued_cases(&arguments.sae, &request)?
        .into_iter()
        .filter(|case| !case.done)
        .take(arguments.count)
        .collect();
    let mut lines = format!("{} of {} done", progress.n_done, progress.n_cases);
    if let Some(seconds) = progress.median_seconds {
        lines += &format!(", {seconds:.1} s each");
    }
    if let Some(seconds) = progress.seconds_left {
        lines += &format!(", about {:.0} min left", (seconds / 60.0).ceil());
    }
    if let Some(n) = progress.n_conflicts {
        lines += &format!(", {n} in conflict");
    }
    lines += &format!("\n{}\n", progress.scope.sentence());
    for case in &cases {
        lines += &format!(
            "{:>6}  feature {}  {}\n",
            case.case, case.feature, case.proposal
        );
    }
    Ok(Answer::new(
        json!({ "progress": progress, "cases": cases }),
        lines,
    ))
}

fn imported_lines(imported: &ImportedDecisions) -> String {
    let mut lines = format!(
        "Took in {} of {} decisions of {}; {} were here already\n",
        imported.n_new,
        imported.n_records,
        or_none(&imported.readers),
        imported.n_known
    );
    if !imported.new_conflicts.is_empty() {
        let features: Vec<String> = imported
            .new_conflicts
            .iter()
            .map(ToString::to_string)
            .collect();
        lines += &format!("Readers now differ on features {}\n", features.join(", "));
    }
    lines += &format!("{} features in conflict\n", imported.n_conflicts);
    lines
}

fn value(estimate: &Estimate) -> String {
    match (estimate.value, estimate.interval) {
        (None, _) => "not defined".to_owned(),
        (Some(value), Some([low, high])) => format!(
            "{} ({} to {})",
            rounded(value, 3),
            rounded(low, 3),
            rounded(high, 3)
        ),
        (Some(value), None) => rounded(value, 3),
    }
}

fn figures(figures: &AgreementFigures) -> String {
    let mut line = format!(
        "{} features, raw {}, AC1 {}, alpha {}",
        figures.n_features,
        value(&figures.raw),
        value(&figures.gwet_ac1),
        value(&figures.krippendorff_alpha)
    );
    if let Some(kappa) = &figures.cohen_kappa {
        line += &format!(", kappa {}", value(kappa));
    }
    if let Some(kappa) = &figures.fleiss_kappa {
        line += &format!(", Fleiss kappa {}", value(kappa));
    }
    line
}

fn agreement_lines(report: &AgreementReport) -> String {
    let readers: Vec<String> = report
        .readers
        .iter()
        .map(|(name, n)| format!("{name} ({n})"))
        .collect();
    let mut lines = format!("Readers: {}\n", or_none(&readers));
    if report.n_compared == 0 {
        lines += "No feature was read by two\n";
    } else {
        lines += &format!("All: {}\n", figures(&report.all));
        lines += &format!(
            "Labels: same words {}, likeness {}\n",
            value(&report.texts.exact),
            value(&report.texts.edit)
        );
    }
    for pair in &report.pairs {
        let [a, b] = &pair.readers;
        lines += &format!("{a} and {b}: {}\n", figures(&pair.verdicts));
        if let Some(confidence) = &pair.confidence {
            lines += &format!("  confidence, weighted kappa {}\n", value(confidence));
        }
    }
    for one in &report.with_model {
        lines += &format!("{} and the model: {}\n", one.reader, figures(&one.verdicts));
    }
    for one in &report.repeats {
        lines += &format!("{} again: {}\n", one.reader, figures(&one.verdicts));
    }
    for trap in &report.traps {
        let interval = trap
            .interval
            .map(|[low, high]| format!(" ({low:.2} to {high:.2})"))
            .unwrap_or_default();
        lines += &format!(
            "{}: accepted {} of {} labels of other features, {:.2}{interval}\n",
            trap.reader, trap.n_accepted, trap.n_traps, trap.share
        );
    }
    for one in &report.disagreements {
        lines += &disagreement_lines(one);
    }
    if report.n_stale > 0 {
        lines += &format!(
            "{} decisions are stale, on another version of the dictionary, and do not count\n",
            report.n_stale
        );
    }
    lines
}

fn disagreement_lines(one: &Disagreement) -> String {
    let open = if one.open { ", not settled" } else { "" };
    let mut lines = format!("Feature {}{open}\n", one.feature);
    for reading in one.readings.iter().chain(&one.adjudication) {
        let text = if reading.state.has_label() {
            format!(" {}", reading.text)
        } else {
            String::new()
        };
        let settled = if reading.role == CaseRole::Adjudication {
            " (settled)"
        } else {
            ""
        };
        lines += &format!(
            "  {}: {}{text}{settled}\n",
            reading.reviewer,
            reading.state.word()
        );
    }
    lines
}
