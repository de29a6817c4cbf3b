//! Invented recommenders: models, trainings with curves, histories and pictures.

use std::sync::Arc;

use engine::views::{
    HistoryRequest, HistoryView, ItemEffects, ItemPicture, ItemView, JobView, ModelEntry,
    PictureState, PopularityView, RecommenderRecord, SameRecommendation,
};
use engine::{MemoryEstimate, RecommenderCurve, TrainRecommenderRequest};
use schema::JobId;

use super::invented::{items, mixed};

/// Items of a whole history.
const N_ITEMS: usize = 34;
/// Side of an invented picture.
const SIDE: u32 = 48;

/// An invented curve of so many epochs.
fn curve(stage: (u32, u32), n_epochs: u32) -> RecommenderCurve {
    let grown = |at: u32, speed: f64| 1.0 - (-f64::from(at) / speed).exp();
    let wave = |at: u32| f64::from(mixed(at, 5)) * 0.006;
    RecommenderCurve {
        stage,
        loss: (0..n_epochs)
            .map(|at| 0.69 - 0.4 * grown(at, 9.0))
            .collect(),
        ndcg: (0..n_epochs)
            .map(|at| 0.05 + 0.19 * grown(at, 6.0) + wave(at))
            .collect(),
        hr: (0..n_epochs)
            .map(|at| 0.08 + 0.27 * grown(at, 6.0) + wave(at))
            .collect(),
    }
}

/// The models of the project as their records describe them.
pub(super) fn entries() -> Vec<ModelEntry> {
    let entry = |name: &str, architecture: &str, ranks, n_bytes| ModelEntry {
        name: name.to_owned(),
        architecture: architecture.to_owned(),
        ranks,
        outside: None,
        n_bytes,
        memory: None,
        trained_on: None,
        imported: None,
        training: None,
    };
    let stages = vec![curve((1, 1), 31)];
    let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        ModelEntry {
            outside: Some("/models/large".to_owned()),
            memory: Some(MemoryEstimate {
                architecture: "Llama".to_owned(),
                n_parameters: 8_000_000_000,
                weight_bytes: 4_700_000_000,
                mapped_bytes: 0,
                bytes_per_position: 131_072,
                n_context: 8192,
            }),
            ..entry("invented-large", "Llama", false, 4_700_000_000)
        },
        ModelEntry {
            trained_on: Some("histories".to_owned()),
            training: Some(RecommenderRecord {
                stages: Arc::new(stages),
                best_epoch: 21,
                settings: vec![
                    named("Learning rate", "0.0001"),
                    named("L2 weight", "0.000001"),
                    named("Batch", "256"),
                    named("Epochs at most", "200"),
                    named("Patience", "10"),
                ],
            }),
            ..entry("invented-ranker", "SasRec", true, 1_200_000)
        },
        entry("invented-tower", "PhantomVlm", false, 2_100_000),
    ]
}

/// The job of a training that was asked for: under way in its last stage.
pub(super) fn job(id: JobId, request: &TrainRecommenderRequest) -> JobView {
    let curves = if request.arch == "timirec" {
        vec![curve((1, 2), 26), curve((2, 2), 12)]
    } else {
        vec![curve((1, 1), 12)]
    };
    JobView {
        id,
        title: format!("Train {}", request.name),
        subject: format!("models/{}", request.name),
        queued: Vec::new(),
        stage: "Training recommender".to_owned(),
        done: 480,
        total: 8000,
        unit: "steps",
        rate: 61.0,
        seconds_left: Some(123.0),
        seconds: 8.0,
        paused: false,
        stopping: false,
        epochs: Arc::new(curves),
        curve: Arc::default(),
        kept: Arc::default(),
    }
}

/// A whole history, with what is recommended after it.
pub(super) fn history(request: HistoryRequest) -> HistoryView {
    let all = (0..2).flat_map(|part| items(request.sample + part * 18, 9.0));
    let all: Vec<ItemView> = all.take(N_ITEMS).collect();
    let recommended = ItemView {
        activation: 4.37,
        ..items(request.feature.0 + 7, 0.0).swap_remove(0)
    };
    HistoryView {
        levels: Arc::new(
            all.iter()
                .map(|item| (item.activation / 9.0 * 10.0).ceil() as u8)
                .collect(),
        ),
        items: Arc::new(all),
        same: Some(SameRecommendation {
            item: recommended.clone(),
            n: 7,
            of: 10,
        }),
        recommended: Some(recommended),
        request,
    }
}

/// What an invented feature does to the scores of items.
pub(super) fn effects(feature: u32) -> ItemEffects {
    let list = |from: u32, sign: f32| -> Vec<ItemView> {
        let mut all = items(feature + from, 0.0);
        all.truncate(10);
        for (place, item) in (0_u32..).zip(&mut all) {
            item.activation = sign * (3.4 / (1.0 + place as f32 * 0.3));
        }
        all
    };
    ItemEffects {
        promoted: list(20, 1.0),
        demoted: list(50, -0.6),
    }
}

/// How often an invented item was chosen.
pub(super) fn popularity(id: u32) -> PopularityView {
    let percentile = mixed(id, 17);
    PopularityView {
        n_train: (2.0 + percentile.powi(3) * 2900.0) as u32,
        percentile,
    }
}

/// Where the picture of an invented item is: three of four have one, one of these is broken.
pub(super) fn picture_path(id: u32) -> Option<Arc<str>> {
    (!id.is_multiple_of(4)).then(|| format!("/invented/{id}.png").into())
}

/// An invented picture: a disc on a ground of another colour.
pub(super) fn picture(path: &Arc<str>) -> PictureState {
    let number = path
        .trim_start_matches("/invented/")
        .trim_end_matches(".png");
    let Ok(id) = number.parse::<u32>() else {
        return PictureState::Failed(format!("{path}: expected a PNG or JPEG file"));
    };
    if id % 17 == 5 {
        return PictureState::Failed(format!("{path}: the file ends before the picture does"));
    }
    let channel = |salt: u32| (70.0 + mixed(id, salt) * 160.0) as u8;
    let ground = [channel(1), channel(2), channel(3), 255];
    let disc = [channel(4), channel(5), channel(6), 255];
    let half = SIDE as f32 / 2.0;
    let rgba = (0..SIDE * SIDE).flat_map(|at| {
        let (x, y) = ((at % SIDE) as f32 - half, (at / SIDE) as f32 - half);
        if x.hypot(y) < half * 0.6 {
            disc
        } else {
            ground
        }
    });
    PictureState::Ready(Arc::new(ItemPicture {
        width: SIDE,
        height: SIDE,
        rgba: rgba.collect(),
    }))
}
