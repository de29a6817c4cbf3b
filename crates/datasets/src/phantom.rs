//! Planted data whose truth is known: phantom radiographs with findings, and shoppers with tastes.

mod anatomy;
mod canvas;
mod catalogue;
mod chest;
mod devices;
mod glyphs;
mod lesions;
mod names;
mod plan;
mod radiograph;
mod report;
mod report_order;
mod report_reader;
mod shoppers;

pub use catalogue::{TASTES, Taste};
pub use names::is_named;
pub use radiograph::{PhantomRadiograph, radiograph, radiographs};
pub use report_order::in_finding_order;
pub use report_reader::{ReportState, report_states};
pub use shoppers::{Shoppers, shoppers};

/// Names of the findings that are planted, in the order of [`PREVALENCE`].
pub const FINDINGS: [&str; 12] = [
    "cardiomegaly",
    "left effusion",
    "right effusion",
    "pneumothorax",
    "nodule",
    "consolidation",
    "pacemaker",
    "central line",
    "endotracheal tube",
    "rotated patient",
    "portable marker",
    "laterality letter",
];

/// Findings that change the whole film and so have neither box nor mask.
pub const WITHOUT_LOCAL_MASK: &[&str] = &["rotated patient"];

/// Probability of each finding of [`FINDINGS`], drawn independently of the others.
pub const PREVALENCE: [f64; 12] = [
    0.20, 0.18, 0.19, 0.17, 0.22, 0.20, 0.16, 0.21, 0.18, 0.17, 0.23, 0.27,
];
