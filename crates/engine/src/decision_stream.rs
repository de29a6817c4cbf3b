//! Decisions as lines of JSON, each answered when it is durable.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::decisions::{DecisionRequest, Recorded};
use crate::error::{EngineError, Result};
use crate::session::Session;

/// How a stream of decisions went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StreamedDecisions {
    /// Lines that are durable, undo and redo among them.
    pub n_recorded: u64,
    /// Lines that were refused; nothing was recorded for them.
    pub n_refused: u64,
}

/// One line of input.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    /// `{"undo": true}`
    Undo(UndoLine),
    /// `{"redo": true}`
    Redo(RedoLine),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UndoLine {
    undo: bool,
    #[serde(default)]
    reviewer: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RedoLine {
    redo: bool,
    #[serde(default)]
    reviewer: String,
}

impl Session {
    /// Records one decision per line of `input`, or takes the last one back (`{"undo": true}`) or
    /// the undo (`{"redo": true}`). Each line is answered by one line on `output` when it is
    /// durable: `{"line": 3, "hash": "…", "feature": 7, "state": "accepted", "text": "…"}`, or by
    /// `{"refused": "…"}`, and the stream goes on. Empty lines are passed over. `reviewer` is the
    /// name on lines without one.
    ///
    /// # Errors
    /// When the dictionary does not exist, or input, output or journal fail.
    pub fn decide_stream(
        &self,
        sae: &str,
        reviewer: &str,
        input: &mut dyn BufRead,
        output: &mut dyn Write,
    ) -> Result<StreamedDecisions> {
        self.indexed(sae)?;
        let failed = |error: std::io::Error| EngineError::other(format!("the stream: {error}"));
        let mut done = StreamedDecisions::default();
        for (number, line) in input.lines().enumerate() {
            let line = line.map_err(failed)?;
            if line.trim().is_empty() {
                continue;
            }
            let answer = match self.decide_line(sae, reviewer, &line) {
                Ok(recorded) => {
                    done.n_recorded += 1;
                    let decision = &recorded.decision;
                    let mut answer = json!({
                        "line": recorded.line, "hash": recorded.hash,
                        "feature": decision.feature, "state": decision.state,
                        "text": decision.text,
                    });
                    if let Some(line) = decision.takes_back {
                        answer["takes_back"] = json!(line);
                    }
                    answer
                }
                Err(error) => {
                    done.n_refused += 1;
                    json!({ "refused": format!("line {}: {error}", number + 1) })
                }
            };
            writeln!(output, "{answer}")
                .and_then(|()| output.flush())
                .map_err(failed)?;
        }
        Ok(done)
    }

    fn decide_line(&self, sae: &str, reviewer: &str, line: &str) -> Result<Recorded> {
        let name = |given: &str| {
            if given.trim().is_empty() {
                reviewer.to_owned()
            } else {
                given.to_owned()
            }
        };
        let nothing = |what: &str| EngineError::request(format!("there is nothing to {what}"));
        match serde_json::from_str(line) {
            Ok(Line::Undo(UndoLine {
                undo: true,
                reviewer,
            })) => self
                .undo(sae, &name(&reviewer))?
                .ok_or_else(|| nothing("take back")),
            Ok(Line::Redo(RedoLine {
                redo: true,
                reviewer,
            })) => self
                .redo(sae, &name(&reviewer))?
                .ok_or_else(|| nothing("restore")),
            _ => {
                let mut request: DecisionRequest = serde_json::from_str(line).map_err(|error| {
                    EngineError::request(format!(
                        "{error}; expected e.g. {{\"feature\": 7, \"state\": \"edited\", \"text\": \
                         \"pacemaker\"}} or {{\"undo\": true}}"
                    ))
                })?;
                request.reviewer = name(&request.reviewer);
                self.record(sae, &request)
            }
        }
    }
}
