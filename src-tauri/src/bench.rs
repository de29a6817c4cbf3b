//! What the benchmarks of the window print.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use engine::{EngineError, Result, Session};

use crate::measured_window::Said;

/// Times the window is opened; the fastest start counts, since a first one reads cold files.
const N_STARTS: usize = 3;
/// Limit of the time from the start to the first frame.
const FIRST_FRAME_MS: f64 = 1000.0;
/// Limit of the memory, in megabytes.
const MEMORY_MB: f64 = 600.0;

/// CPU time of frames against the budget of a frame; with a project, its window's start and memory
/// against their limits.
pub(crate) fn ui(n_features: u32, project: Option<&Path>) -> Result<String> {
    const BUDGET_MS: f64 = 8.0;
    const FILM_SIDE: u32 = 3000;
    let line = |what: String, times: ::ui::bench::FrameTimes| {
        format!(
            "{what}, {} frames, CPU without the rasteriser: p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} \
             ms, slowest {:.2} ms; p95 is {:.2} of the budget of {BUDGET_MS} ms\n",
            times.n_frames,
            times.p50_ms,
            times.p95_ms,
            times.p99_ms,
            times.max_ms,
            times.p95_ms / BUDGET_MS
        )
    };
    // Said before minutes are spent on the other figures.
    if let Some(project) = project {
        Session::open(project)?;
    }
    let dragged = ::ui::bench::film_drag_times(FILM_SIDE).map_err(EngineError::other)?;
    let filtered = ::ui::bench::filter_frame_times(n_features).map_err(EngineError::other)?;
    Ok([
        line(
            format!("Gallery of {n_features} features while scrolling"),
            ::ui::bench::gallery_frame_times(n_features),
        ),
        line(
            format!("The same beside the scatter of {n_features} features"),
            ::ui::bench::scatter_frame_times(n_features),
        ),
        line(
            format!("The same while the filter of {n_features} features changes every tenth frame"),
            filtered,
        ),
        line(
            "Feature page, another feature every fifth frame".to_owned(),
            ::ui::bench::feature_page_times(n_features),
        ),
        line(
            format!("Window and level dragged on a 16-bit film of {FILM_SIDE} x {FILM_SIDE}"),
            dragged,
        ),
        queries(n_features),
        project.map_or_else(|| Ok(String::new()), window)?,
    ]
    .concat())
}

/// Time from letting go of a slider to the frame that shows the answer, against its limits.
pub(crate) fn steer(project: &Path) -> Result<String> {
    const REPORT_MS: f64 = 1000.0;
    const RANKING_MS: f64 = 100.0;
    let times = ::ui::bench::steering_times(project).map_err(EngineError::request)?;
    if times.is_empty() {
        return Err(EngineError::request(
            "no dictionary of this project can be steered: its models write and rank nothing",
        ));
    }
    let lines = times.into_iter().map(|one| {
        let (what, limit) = if one.ranks {
            ("ranked list", RANKING_MS)
        } else {
            ("report", REPORT_MS)
        };
        format!(
            "Steering {}, slider to {what} on the screen, {} times: median {:.1} ms, worst {:.1} \
             ms (first {:.1} ms); worst is {:.2} of the limit of {limit} ms\n",
            one.dictionary,
            one.n_times,
            one.median_ms,
            one.worst_ms,
            one.first_ms,
            one.worst_ms / limit
        )
    });
    Ok(lines.collect())
}

/// What a filter or an order of all features costs, once, when it is chosen; of a wide dictionary
/// beside the frames.
fn queries(n_features: u32) -> String {
    let each: Vec<String> = engine::query_times(n_features)
        .into_iter()
        .map(|time| format!("{} {:.1} ms ({} found)", time.query, time.ms, time.n_found))
        .collect();
    format!(
        "Filter or order of {n_features} features, all with proposals and words: {}\n",
        each.join(", ")
    )
}

/// Opens the program's own window on a project some times: from the start of the process to its
/// first frame, and the most memory it took while every screen was shown.
fn window(project: &Path) -> Result<String> {
    let mut starts = Vec::new();
    let mut memory: Option<u64> = None;
    for _ in 0..N_STARTS {
        let (first_frame, peak) = start_window(project)?;
        starts.push(first_frame);
        memory = memory.max(peak);
    }
    let best = starts.iter().copied().fold(f64::INFINITY, f64::min);
    let all: Vec<String> = starts.iter().map(|ms| format!("{ms:.0}")).collect();
    let started = format!(
        "Start to first frame of {}, {N_STARTS} times: {} ms; best is {:.2} of the limit of \
         {FIRST_FRAME_MS} ms\n",
        project.display(),
        all.join(", "),
        best / FIRST_FRAME_MS
    );
    let said = match memory {
        Some(bytes) => {
            let megabytes = bytes as f64 / 1e6;
            format!(
                "Most memory after every screen was shown: {megabytes:.0} MB; {:.2} of the limit \
                 of {MEMORY_MB} MB\n",
                megabytes / MEMORY_MB
            )
        }
        None => "Most memory after every screen was shown: this system does not tell\n".to_owned(),
    };
    Ok(started + &said)
}

/// Milliseconds to the first frame, and bytes of memory where the system tells.
fn start_window(project: &Path) -> Result<(f64, Option<u64>)> {
    let failed =
        |what: String| EngineError::other(format!("the window cannot be measured: {what}"));
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let began = Instant::now();
    let mut child = Command::new(program)
        .arg("--project")
        .arg(project)
        .arg("--measure")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let (mut first_frame, mut end) = (None, None);
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|out| BufReader::new(out).lines())
    {
        let line = line.map_err(|error| failed(error.to_string()))?;
        match serde_json::from_str(&line) {
            Ok(Said::FirstFrame) => first_frame = Some(began.elapsed().as_secs_f64() * 1e3),
            Ok(Said::End { peak_memory }) => end = Some(peak_memory),
            Err(_) => {}
        }
    }
    let output = child
        .wait_with_output()
        .map_err(|error| failed(error.to_string()))?;
    match (first_frame, end) {
        (Some(first_frame), Some(end)) if output.status.success() => Ok((first_frame, end)),
        _ => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let complaint = complaint.trim();
            Err(failed(if complaint.is_empty() {
                "it ended before every screen was shown".to_owned()
            } else {
                complaint.to_owned()
            }))
        }
    }
}
