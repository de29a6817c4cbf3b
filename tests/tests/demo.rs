//! The demo project: planted findings and tastes get features of their own, beyond three controls.

use engine::JobContext;
use engine::demo::build;

/// The figures of the README: every finding has a feature that tells it at F1 0.8 or better on films
/// of another seed, with its peak on the planted mask. Not all of them beat the strongest control by
/// the 0.2 that "a feature of its own" asks for.
#[test]
fn planted_concepts_get_features_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let (session, report) = build(&dir.path().join("demo"), 0, &JobContext::silent()).unwrap();
    assert_eq!(report.findings.len(), 12);
    let good = report.findings.values().filter(|r| r.best_f1 >= 0.8);
    assert!(
        good.count() >= 9 && report.n_findings_found() >= 5,
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
    for (name, figures) in &report.dictionaries {
        assert!(figures.fvu < figures.random_fvu, "{name}: {figures:?}");
    }
    let (_, faults) = session.check(&JobContext::silent()).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
}
