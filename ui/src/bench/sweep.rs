//! Invented outcomes of steering one sample, and of a sweep over strengths.

use std::sync::atomic::Ordering;

use engine::LocatedReport;
use engine::views::{
    Event, ExampleKind, FindingsEffect, JobEnd, JobView, RankingEffect, SteerOutcome, SteerRequest,
    SteerTicket, SteerView, SteeringExport, SweepPoint, SweepRequest, SweepRun, SweepView,
};
use schema::{JobId, PositionScope};

use super::invented::{Invented, SIDE, items, kind_of};
use crate::backend::{Answer, Steering};

/// The job of an invented sweep.
const SWEEP: JobId = JobId(53);

impl Steering for Invented {
    fn steer(&self, request: SteerRequest) -> Answer<SteerTicket> {
        let first = &request.edits[0];
        let place = match first.scope {
            PositionScope::All => String::new(),
            scope => format!(" at {scope}"),
        };
        let beside = if request.control {
            " beside a random direction"
        } else {
            ""
        };
        self.note(format!(
            "steer {} by {}{place}{beside}",
            first.feature, first.strength
        ));
        let ticket = SteerTicket(7);
        let outcome = if kind_of(&request.sae) == ExampleKind::History {
            SteerOutcome::Ranking {
                before: items(1, 1.0)[..10].to_vec(),
                after: items(2, 1.0)[..10].to_vec(),
                rank_before: (2..12).collect(),
                target_rank: Some([14, 3]),
            }
        } else {
            let (before, after) = reports(first.strength);
            SteerOutcome::Text {
                located: [before, after].map(|text| LocatedReport::read(text, [SIDE, SIDE])),
                before: before.to_owned(),
                after: after.to_owned(),
                reads_findings: true,
                gained: vec!["left effusion".to_owned(), "nodule".to_owned()],
                lost: Vec::new(),
            }
        };
        let control = request.control.then(|| elsewhere(&outcome));
        let view = SteerView {
            request,
            outcome,
            control,
            milliseconds: 12.0,
        };
        self.send(Event::Steered(ticket, Box::new(Ok(view))));
        Ok(ticket)
    }

    fn can_steer(&self, sae: &str) -> bool {
        kind_of(sae) != ExampleKind::Text
    }

    /// Half of it comes at once; [`Invented::finish_sweep`] brings the rest.
    fn sweep(&self, request: SweepRequest) -> Answer<JobId> {
        let range = request.range;
        self.note(format!(
            "sweep {} from {} to {} in {} beside {}",
            request.steer.edits[0].feature, range.from, range.to, range.steps, request.n_controls
        ));
        let n_runs = request.range.steps;
        let mut state = self.state();
        state.jobs.push(JobView {
            title: "Dose-response sweep".to_owned(),
            stage: "Steering at every strength".to_owned(),
            done: u64::from(n_runs),
            total: u64::from(n_runs * (1 + request.n_controls)),
            unit: "runs",
            ..super::invented::demo_job(SWEEP)
        });
        let first = swept(&request, 0);
        state.events.push(Event::Swept(SWEEP, Box::new(Ok(first))));
        state.swept = Some(request);
        Ok(SWEEP)
    }

    fn export_steering(&self, export: SteeringExport, file: &str) -> Answer<JobId> {
        let sweep = export.sweep.map_or(0, |sweep| sweep.n_runs());
        self.note(format!(
            "write {:?} of \"{}\" with {sweep} runs to {file}",
            export.part, export.name
        ));
        Ok(JobId(54))
    }
}

/// What as much change along a random direction does: next to nothing.
fn elsewhere(outcome: &SteerOutcome) -> SteerOutcome {
    match outcome {
        SteerOutcome::Text { before, .. } => SteerOutcome::Text {
            located: [before, before].map(|text| LocatedReport::read(text, [SIDE, SIDE])),
            before: before.clone(),
            after: before.clone(),
            reads_findings: true,
            gained: Vec::new(),
            lost: vec!["nodule".to_owned()],
        },
        SteerOutcome::Ranking { before, .. } => SteerOutcome::Ranking {
            before: before.clone(),
            after: before.clone(),
            rank_before: (1..11).collect(),
            target_rank: Some([14, 13]),
        },
    }
}

impl Invented {
    /// Brings the rest of a sweep that was asked for.
    pub fn finish_sweep(&self) {
        let mut state = self.state();
        if let Some(request) = state.swept.take() {
            let whole = swept(&request, request.n_controls);
            state.jobs.retain(|job| job.id != SWEEP);
            let end = JobEnd::Finished(String::new());
            state.events.extend([
                Event::Swept(SWEEP, Box::new(Ok(whole))),
                Event::JobEnded(SWEEP, end),
            ]);
        }
        drop(state);
        self.revision.fetch_add(1, Ordering::AcqRel);
    }
}

/// Every strength with so many random directions; the further from 0, the more changes.
fn swept(request: &SweepRequest, n_controls: u32) -> SweepView {
    let is_ranking = kind_of(&request.steer.sae) == ExampleKind::History;
    let run = |strength: f32, share: f64| -> SweepRun {
        let size = f64::from(strength.abs()) * share;
        if is_ranking {
            return SweepRun::Ranking(RankingEffect {
                mean_rise: 4.0 * f64::from(strength) * share,
                target_rank: Some((14.0 - 2.0 * size).max(1.0) as u32),
                overlap: (1.0 - 0.2 * size).max(0.0),
            });
        }
        let has = strength >= 1.0 && share > 0.5;
        let (before, after) = reports(0.0);
        let findings = vec!["left effusion".to_owned(); usize::from(has)];
        SweepRun::Text {
            text: if has { after } else { before }.to_owned(),
            words_changed: (0.2 * size).min(1.0),
            findings: Some(FindingsEffect {
                stated: findings.clone(),
                gained: findings,
                lost: Vec::new(),
            }),
        }
    };
    let points = request
        .range
        .strengths()
        .into_iter()
        .map(|strength| SweepPoint {
            strength,
            features: run(strength, 1.0),
            controls: (0..n_controls)
                .map(|at| run(strength, 0.05 * f64::from(at)))
                .collect(),
        });
    SweepView {
        sae_hash: "0f".repeat(32),
        unsteered: run(0.0, 1.0),
        promoted: if is_ranking {
            items(1, 1.0)[..3]
                .iter()
                .map(|item| item.title.clone())
                .collect()
        } else {
            Vec::new()
        },
        length: 3.0,
        points: points.collect(),
        n_planned: request.range.steps * (1 + request.n_controls),
        seconds: 1.5,
        request: request.clone(),
    }
}

/// Reports before and after; grounded ones where the first slider is far up.
fn reports(strength: f32) -> (&'static str, &'static str) {
    if strength < 3.0 {
        return ("No pleural effusion.", "Small left pleural effusion.");
    }
    (
        "<obj>The lungs are clear.</obj><obj>The heart is enlarged.<box><x32><y48><x72><y78></box></obj>",
        "<obj>There is a small left pleural effusion.<box><x62><y66><x90><y88></box></obj><obj>The \
         heart is enlarged.<box><x32><y48><x72><y78></box></obj><obj>Opacities in both lower \
         zones.<box><x12><y54><x34><y72></box><box><x66><y52><x86><y64></box></obj>",
    )
}
