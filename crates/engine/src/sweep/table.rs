//! A sweep as a table, a line per run, with all digits.

use crate::csv_field::field;
use crate::views::{SAFETY, SweepRun, SweepView};

/// Names of the columns.
const COLUMNS: [&str; 11] = [
    "strength",
    "run",
    "words_changed",
    "stated",
    "gained",
    "lost",
    "mean_rise",
    "target_rank",
    "overlap_10",
    "report",
    "note",
];

/// The unsteered run, then by strength the features' own and those along random directions.
pub(crate) fn csv(view: &SweepView) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    let mut line = |strength: String, run: &str, what: &SweepRun| {
        let fields = [vec![strength, run.to_owned()], fields(what)].concat();
        let fields: Vec<String> = fields.iter().map(|one| field(one)).collect();
        text += &fields.join(",");
        text.push('\n');
    };
    line(String::new(), "unsteered", &view.unsteered);
    for point in &view.points {
        let strength = point.strength.to_string();
        line(strength.clone(), "features", &point.features);
        for (at, control) in point.controls.iter().enumerate() {
            line(strength.clone(), &format!("random {}", at + 1), control);
        }
    }
    text
}

fn fields(run: &SweepRun) -> Vec<String> {
    let none = String::new;
    match run {
        SweepRun::Text {
            text,
            words_changed,
            findings,
        } => {
            let [stated, gained, lost] = findings.as_ref().map_or_else(
                || [none(), none(), none()],
                |all| [&all.stated, &all.gained, &all.lost].map(|one| one.join("; ")),
            );
            let changed = words_changed.to_string();
            let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            vec![
                changed,
                stated,
                gained,
                lost,
                none(),
                none(),
                none(),
                one_line,
                SAFETY.to_owned(),
            ]
        }
        SweepRun::Ranking(effect) => {
            let target = effect
                .target_rank
                .map_or_else(none, |rank| rank.to_string());
            let (rise, overlap) = (effect.mean_rise.to_string(), effect.overlap.to_string());
            vec![
                none(),
                none(),
                none(),
                none(),
                rise,
                target,
                overlap,
                none(),
                none(),
            ]
        }
    }
}
