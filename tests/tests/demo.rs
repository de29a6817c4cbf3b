//! The demo project: planted findings and tastes get features of their own, beyond three controls.

use engine::JobContext;
use engine::demo::build;

/// At least nine of the twelve findings have a feature that tells them at F1 0.8 or better on films
/// of another seed and beats every control by 0.2, with its peak on the planted mask.
#[test]
fn planted_concepts_get_features_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let (session, report) = build(&dir.path().join("demo"), 0, &JobContext::silent()).unwrap();
    assert_eq!(report.findings.len(), 12);
    assert!(
        report.n_findings_found() >= 9,
        "{}: {:#?}",
        report.sentence(),
        report.findings
    );
    for (name, recovery) in &report.findings {
        if recovery.best_f1 >= 0.8 && !report.without_local_mask.contains(name) {
            assert!(
                recovery.peak_inside.is_some_and(|share| share >= 0.7),
                "{name}: {recovery:?}"
            );
        }
    }
    assert_eq!(report.steering.len(), 12);
    for (name, figures) in &report.dictionaries {
        assert!(figures.fvu < figures.random_fvu, "{name}: {figures:?}");
    }
    let (_, faults) = session.check(&JobContext::silent()).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
}
