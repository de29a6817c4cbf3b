//! Progress and messages on a terminal, and Ctrl-C.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::{EngineError, JobContext, Observer, Progress, RecommenderCurve, Result};
use schema::{KeptMetric, KeptReport};

/// Least time between two progress lines that are not on a terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Least time between two redraws of the bar.
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// Prints on standard output. A reader that went away is no error of ours.
pub(crate) fn print(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).ok();
}

/// Prints one sentence on standard error.
pub(crate) fn complain(sentence: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "fluoroscope: {sentence}").ok();
}

/// Prints on standard error what the user should know, which is no error.
pub(crate) fn note(sentence: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "note: {sentence}").ok();
}

/// Prints on standard error how far a training has come.
fn tell(line: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{line}").ok();
}

/// A context whose progress goes to standard error and that Ctrl-C stops.
pub(crate) fn job_context() -> Result<JobContext> {
    let cancel = Arc::new(AtomicBool::new(false));
    let for_signal = Arc::clone(&cancel);
    ctrlc::set_handler(move || {
        if for_signal.swap(true, Ordering::Relaxed) {
            // Asked twice: go at once. Files are written so that this loses nothing finished.
            std::process::abort();
        }
    })
    .map_err(|error| EngineError::other(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(JobContext::new(
        cancel,
        Arc::new(Terminal {
            is_terminal: std::io::stderr().is_terminal(),
            last: Mutex::new(Last::default()),
        }),
    ))
}

#[derive(Default)]
struct Last {
    stage: String,
    began: Option<Instant>,
    drawn: Option<Instant>,
    line_is_open: bool,
    kept_at: Option<u32>,
}

struct Terminal {
    is_terminal: bool,
    last: Mutex<Last>,
}

impl Observer for Terminal {
    fn progress(&self, progress: Progress) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_new_stage = last.stage != progress.stage;
        let every = if self.is_terminal {
            REDRAW_EVERY
        } else {
            LINE_EVERY
        };
        if !is_new_stage && last.drawn.is_some_and(|drawn| now - drawn < every) {
            return;
        }
        if is_new_stage {
            if last.line_is_open {
                writeln!(std::io::stderr()).ok();
            }
            last.stage.clone_from(&progress.stage);
            last.began = Some(now);
        }
        last.drawn = Some(now);
        let text = line(&progress, last.began.map_or(Duration::ZERO, |at| now - at));
        let mut stderr = std::io::stderr();
        if self.is_terminal {
            write!(stderr, "\r\x1b[K{text}").ok();
            stderr.flush().ok();
            last.line_is_open = true;
        } else {
            writeln!(stderr, "{text}").ok();
        }
    }

    fn epoch(&self, curve: &RecommenderCurve) {
        let Some(loss) = curve.loss.last() else {
            return;
        };
        let stage = match curve.stage {
            (_, 0 | 1) => String::new(),
            (stage, of) => format!("stage {stage} of {of}, "),
        };
        let dev = match (curve.hr.last(), curve.ndcg.last()) {
            (Some(hr), Some(ndcg)) => format!(", dev HR@5 {hr:.4}, NDCG@5 {ndcg:.4}"),
            _ => String::new(),
        };
        let epoch = curve.loss.len();
        tell(&format!("{stage}epoch {epoch}: loss {loss:.4}{dev}"));
    }

    fn kept(&self, points: &[KeptReport]) {
        let Some(point) = points.last() else {
            return;
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // A run that goes on tells its points again.
        if last.kept_at == Some(point.step) {
            return;
        }
        last.kept_at = Some(point.step);
        drop(last);
        let what = match point.metric {
            KeptMetric::LossRecovered => "of the loss is recovered",
            KeptMetric::NdcgKept => "of NDCG@10 is kept",
        };
        let share = 100.0 * point.share;
        tell(&format!("after step {}: {share:.1} % {what}", point.step));
    }

    fn warning(&self, message: String) {
        note(&message);
    }
}

fn line(progress: &Progress, since: Duration) -> String {
    let Progress {
        stage,
        done,
        total,
        unit,
    } = progress;
    if *total == 0 {
        return format!("{stage} …");
    }
    let text = format!("{stage}: {done} of {total} {unit}");
    let seconds = since.as_secs_f64();
    if *done > 0 && seconds > 1.0 && done < total {
        let left = seconds / *done as f64 * (total - done) as f64;
        return format!("{text}, about {left:.0} s left");
    }
    text
}
