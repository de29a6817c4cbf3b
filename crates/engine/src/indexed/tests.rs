//! Features of the image patches that a language decoder reads, and of earlier harvests of them.

use std::path::Path;

use schema::{FeatureId, PositionClass, SaeConfig};
use store::ArtefactKind;

use crate::harvest::{HarvestRequest, SampleSidecar, sidecar_file};
use crate::jobs::JobContext;
use crate::session::Session;
use crate::views::{ExampleContent, ExampleKind, ImportRequest};

const FILMS: &str = "films";
const PATCHES: &str = "patches";
const N_FEATURES: u32 = 48;

/// Phantom films and the shipped model.
fn project(root: &Path) -> Session {
    let session = Session::create(root).unwrap();
    let films = ImportRequest::PhantomRadiographs {
        name: FILMS.to_owned(),
        count: 40,
        seed: 3,
    };
    session.import(&films, &JobContext::silent()).unwrap();
    session.add_shipped_model("phantom-vlm").unwrap();
    session
}

/// Adds a dictionary of the decoder with its index.
fn add(session: &Session, name: &str, positions: &str) {
    let job = JobContext::silent();
    let request = HarvestRequest {
        name: name.to_owned(),
        model: "phantom-vlm".to_owned(),
        dataset: FILMS.to_owned(),
        hook: "blocks.1.hook_resid_post".parse().unwrap(),
        positions: positions.to_owned(),
        limit: None,
        pool: 1,
    };
    session.harvest(&request, &job).unwrap();
    let config = SaeConfig {
        n_features: N_FEATURES,
        k: 6,
        lr: 2e-3,
        batch_rows: 256,
        steps: 100,
        warmup_steps: 20,
        ..SaeConfig::default()
    };
    session.train_sae(name, name, &config, &job).unwrap();
    session.build_feature_index(name, &job).unwrap();
}

/// The feature that is active on most patches.
fn busiest(session: &Session) -> FeatureId {
    let indexed = session.indexed(PATCHES).unwrap();
    let density = indexed.index.overview().density.clone();
    (0..N_FEATURES)
        .map(FeatureId)
        .max_by(|a, b| density[a.0 as usize].total_cmp(&density[b.0 as usize]))
        .unwrap()
}

fn kind(session: &Session, sae: &str) -> ExampleKind {
    session.dictionary_view(sae).unwrap().kind
}

#[test]
fn patches_that_a_decoder_reads_are_shown_on_their_film() {
    let folder = tempfile::tempdir().unwrap();
    let session = project(folder.path());
    add(&session, PATCHES, "image");
    let feature = busiest(&session);
    let page = session.feature_page(PATCHES, feature).unwrap();
    assert_eq!(page.kind, ExampleKind::Film);
    assert_eq!(kind(&session, PATCHES), ExampleKind::Film);
    assert!(!session.traceable(PATCHES));

    let example = &page.top[0];
    let ExampleContent::Film { grid, heat, .. } = &example.content else {
        panic!("{:?}", example.content);
    };
    let indexed = session.indexed(PATCHES).unwrap();
    let n_rows = indexed.index.sample_rows(example.sample).len();
    assert_eq!(heat.len(), n_rows);
    assert_eq!(heat.len(), (grid.rows * grid.columns) as usize);
    // The phantom model reads one token before the patches.
    let active = indexed.active_positions(feature, example.sample);
    for &(position, activation) in &active {
        assert_eq!(heat[position as usize - 1], activation);
    }
    let n_hot = heat.iter().filter(|&&value| value > 0.0).count();
    let n_active = active.iter().filter(|at| at.1 > 0.0).count();
    assert_eq!(n_hot, n_active);
    let highest = heat.iter().copied().fold(0.0, f32::max);
    assert!(highest > 0.0);
    assert_eq!(highest, example.activation);
    assert_eq!(highest, page.card.max_activation);
    assert_eq!(heat[example.position as usize], highest);

    let firing = session.firing_on(PATCHES, example.sample).unwrap();
    let found = firing.iter().find(|one| one.feature == feature).unwrap();
    assert_eq!(found.position, example.position);
    let row = example.position / grid.columns + 1;
    assert!(
        found.place.starts_with(&format!("row {row} of ")),
        "{}",
        found.place
    );

    drop(indexed);
    let session = without_grids(session, folder.path());
    assert_eq!(kind(&session, PATCHES), ExampleKind::Text);
    let page = session.feature_page(PATCHES, feature).unwrap();
    assert!(matches!(page.top[0].content, ExampleContent::Text { .. }));
}

/// The project opened again with a harvest of patches as earlier versions made it.
fn without_grids(session: Session, root: &Path) -> Session {
    let harvest = session
        .project
        .artefact_dir(ArtefactKind::Harvest, PATCHES)
        .unwrap();
    drop(session);
    for shard in 0.. {
        let path = harvest.join(sidecar_file(shard));
        let Ok(bytes) = std::fs::read(&path) else {
            assert!(shard > 0, "{}", path.display());
            break;
        };
        let mut samples: Vec<SampleSidecar> = serde_json::from_slice(&bytes).unwrap();
        for sample in &mut samples {
            assert!(sample.grid.take().is_some());
        }
        std::fs::write(path, serde_json::to_vec(&samples).unwrap()).unwrap();
    }
    Session::open(root).unwrap()
}

#[test]
fn patches_and_text_together_are_shown_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let session = project(folder.path());
    add(&session, "both", "image,text");
    assert_eq!(kind(&session, "both"), ExampleKind::Text);
}

#[test]
fn positions_are_patches_in_their_order() {
    use PositionClass::{Boilerplate, Bos, Image, Report};
    let sidecar = |classes: &[PositionClass]| SampleSidecar {
        sample: 0,
        grid: None,
        texts: Vec::new(),
        classes: classes.to_vec(),
    };
    let read = sidecar(&[Bos, Image, Image, Boilerplate, Image, Report]);
    let patches: Vec<Option<u32>> = (0..7).map(|position| read.patch_of(position)).collect();
    assert_eq!(patches, [None, Some(0), Some(1), None, Some(2), None, None]);
    assert_eq!(sidecar(&[]).patch_of(5), Some(5));
}
