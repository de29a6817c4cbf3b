//! The recipe against a bias: which features carry it, and what turning them down brings and costs.

use std::path::Path;
use std::sync::Arc;

use schema::Split;

use super::figures::Members;
use super::test_users::TestUsers;
use super::{N_LIST, category_flags, mean_figures, named_items, scaled};
use crate::error::{EngineError, Result};
use crate::indexed::{IndexedDictionary, check_feature};
use crate::jobs::JobContext;
use crate::session::Session;
use crate::views::{
    Bias, BiasedFeature, ConceptItems, DebiasRequest, DebiasView, ListFigures, TradeOffPoint,
};
use crate::whole_folder::write_whole;

/// Share of all train interactions that the items which count as popular have together.
const POPULAR_SHARE: f64 = 0.2;

impl Session {
    /// Finds the features that add most to the scores of biased items, and sweeps their strength on
    /// the dev part, beside random features of like density, and on the test part.
    ///
    /// # Errors
    /// As [`Session::ablate`], and when a strength is not finite or no feature adds to the bias.
    pub fn debias(&self, request: &DebiasRequest, job: &JobContext) -> Result<DebiasView> {
        if request.strengths.is_empty() || request.strengths.iter().any(|s| !s.is_finite()) {
            return Err(EngineError::request(
                "expected at least one strength, each a finite number such as 0.5",
            ));
        }
        let indexed = self.indexed(&request.sae)?;
        let dataset = request.dataset.as_deref();
        let dev = TestUsers::load(self, &indexed, dataset, Split::Dev, job)?;
        let test = TestUsers::load(self, &indexed, dataset, Split::Test, job)?;
        let members = biased_items(&indexed, &dev, &request.bias)?;
        let n = request.n_features as usize;
        let features = biased_features(&indexed, &dev, &members, (n, None));
        if features.is_empty() {
            return Err(EngineError::request(format!(
                "no feature of {} adds to the bias",
                request.sae
            )));
        }
        let ids: Vec<u32> = features.iter().map(|feature| feature.feature).collect();
        let mut points = Vec::new();
        let n = request.strengths.len() as u64;
        for (at, &strength) in request.strengths.iter().enumerate() {
            job.check_cancelled()?;
            job.report("Sweeping the strength", at as u64, n, "strengths");
            let figures = |users: &TestUsers, ids: &[u32]| {
                figures_at(users, &indexed, &members, (ids, strength))
            };
            let controls = (0..request.n_controls)
                .map(|draw| figures(&dev, &dev.like_density(&ids, (request.seed, draw))))
                .collect::<Result<Vec<ListFigures>>>()?;
            points.push(TradeOffPoint {
                strength,
                dev: figures(&dev, &ids)?,
                test: figures(&test, &ids)?,
                control: mean_figures(&controls),
            });
        }
        Ok(DebiasView {
            request: request.clone(),
            features,
            points,
        })
    }

    /// The features that add most to the scores of some items over those of others and are active
    /// nearly only on users with such items in their history, by the dev part, strongest first.
    ///
    /// # Errors
    /// As [`Session::ablate`].
    pub fn features_adding_to(
        &self,
        sae: &str,
        items: &ConceptItems,
        n: u32,
        job: &JobContext,
    ) -> Result<Vec<BiasedFeature>> {
        let indexed = self.indexed(sae)?;
        let users = TestUsers::load(self, &indexed, None, Split::Dev, job)?;
        let flags = named_items(&indexed, users.counts.len() - 1, items)?.ok_or_else(|| {
            EngineError::request("expected items or a category that features may add to")
        })?;
        let members = Members {
            flags,
            listed: Vec::new(),
        };
        let own: Vec<bool> = users
            .set
            .histories()
            .iter()
            .map(|history| history.iter().any(|&item| members.flags[item as usize]))
            .collect();
        let n = n as usize;
        Ok(biased_features(&indexed, &users, &members, (n, Some(&own))))
    }

    /// Writes the recommender, the dictionary and a steering file that multiplies features by a
    /// factor into `folder`, which then needs no project: `model run FOLDER --steer
    /// FOLDER/steering.toml`. The folder is there whole or not at all.
    ///
    /// # Errors
    /// When the folder is there and not empty, or cannot be written.
    pub fn export_steered(
        &self,
        sae: &str,
        features: &[u32],
        strength: f32,
        folder: &Path,
    ) -> Result<()> {
        if !strength.is_finite() || features.is_empty() {
            return Err(EngineError::request(
                "expected at least one feature and a finite strength",
            ));
        }
        let hook = self.indexed(sae)?.harvest.hook;
        let edits: Vec<String> = features
            .iter()
            .map(|feature| {
                format!(
                    "[[edit]]\nhook = \"{hook}\"\nmode = \"scale\"\nstrength = {strength:?}\n\
                     sae = \"dictionary\"\nfeature = {feature}\n"
                )
            })
            .collect();
        self.export_with(sae, features, &edits.join("\n"), folder)
    }

    /// As [`Session::export_steered`], with the text of the steering file.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn export_with(
        &self,
        sae: &str,
        features: &[u32],
        steering: &str,
        folder: &Path,
    ) -> Result<()> {
        if folder
            .read_dir()
            .is_ok_and(|mut entries| entries.next().is_some())
        {
            return Err(EngineError::request(format!(
                "{} is there and not empty; choose another folder",
                folder.display()
            )));
        }
        let indexed = self.indexed(sae)?;
        let n_features = indexed.dictionary.sae.n_features() as u32;
        for &feature in features {
            check_feature(sae, feature, n_features)?;
        }
        let model = self.model(&indexed.harvest.model)?;
        let recommender = model.as_recommender()?;
        let note = serde_json::json!({ "exported_from": sae });
        write_whole(folder, |draft| {
            recommender.save(draft)?;
            let dictionary = draft.join("dictionary");
            sae::formats::folder::save(&dictionary, &indexed.dictionary.sae, &note)?;
            let path = draft.join("steering.toml");
            store::write_atomically(&path, steering.as_bytes(), store::Durability::PowerCut)?;
            Ok(())
        })
    }
}

/// The items of the bias: of a category, or the most popular ones, which together have a fifth of
/// all train interactions.
fn biased_items(indexed: &IndexedDictionary, users: &TestUsers, bias: &Bias) -> Result<Members> {
    let flags = match bias {
        Bias::Category(name) => category_flags(&indexed.dataset, &indexed.harvest.dataset, name)?,
        Bias::Popularity => {
            let mut order: Vec<usize> = (1..users.counts.len()).collect();
            order.sort_by(|&a, &b| users.counts[b].cmp(&users.counts[a]).then(a.cmp(&b)));
            let total: u64 = users.counts.iter().sum();
            let mut flags = vec![false; users.counts.len()];
            let mut sum = 0;
            for item in order {
                if sum as f64 >= POPULAR_SHARE * total as f64 {
                    break;
                }
                sum += users.counts[item];
                flags[item] = true;
            }
            flags
        }
    };
    Ok(Members {
        flags,
        listed: Vec::new(),
    })
}

/// Share of a feature's activation that must lie on users with such items in their history, for it
/// to count as being about them.
const ABOUT: f64 = 0.8;

/// The features that add most to the scores of biased items over those of others.
///
/// With `own`, a flag per user for whom the items are meant, only features that are active on them
/// nearly alone, so that other users pay nothing.
fn biased_features(
    indexed: &IndexedDictionary,
    users: &TestUsers,
    members: &Members,
    (n, own): (usize, Option<&[bool]>),
) -> Vec<BiasedFeature> {
    let direction = biased_direction(users, members);
    let sae = &indexed.dictionary.sae;
    let mut mean = vec![0.0_f64; sae.n_features()];
    let mut active = vec![[0.0_f64; 2]; sae.n_features()];
    for row in 0..users.codes.n_rows() {
        let is_own = own.is_none_or(|own| own[row]);
        let (features, values) = users.codes.row(row);
        for (&feature, &value) in features.iter().zip(values) {
            mean[feature as usize] += f64::from(value) / users.codes.n_rows() as f64;
            active[feature as usize][usize::from(is_own)] += f64::from(value);
        }
    }
    let mut found: Vec<BiasedFeature> = (0..sae.n_features() as u32)
        .filter(|&feature| {
            let [others, own] = active[feature as usize];
            own > 0.0 && own >= ABOUT * (own + others)
        })
        .map(|feature| {
            let along: f64 = sae
                .decoder_row(feature)
                .iter()
                .zip(&direction)
                .map(|(&a, b)| f64::from(a) * b)
                .sum();
            BiasedFeature {
                feature,
                effect: along * mean[feature as usize],
                density: users.density[feature as usize],
            }
        })
        .filter(|feature| feature.effect > 0.0)
        .collect();
    found.sort_by(|a, b| {
        b.effect
            .total_cmp(&a.effect)
            .then(a.feature.cmp(&b.feature))
    });
    found.truncate(n.max(1));
    found
}

/// Mean vector of biased items less that of the others. Scores are linear in the user vector, so it
/// says what any direction adds to the ones over the others.
fn biased_direction(users: &TestUsers, members: &Members) -> Vec<f64> {
    let d = users.recommender.config().d_model() as usize;
    let mut sums = [vec![0.0_f64; d], vec![0.0_f64; d]];
    let mut counts = [0_u32; 2];
    let items = users.recommender.item_vectors().chunks_exact(d);
    for (item, row) in items.enumerate().skip(1) {
        let side = usize::from(members.flags[item]);
        counts[side] += 1;
        for (sum, &value) in sums[side].iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    let mean = |side: usize, i: usize| sums[side][i] / f64::from(counts[side].max(1));
    (0..d).map(|i| mean(1, i) - mean(0, i)).collect()
}

/// The figures with features multiplied by a factor.
fn figures_at(
    users: &TestUsers,
    indexed: &Arc<IndexedDictionary>,
    members: &Members,
    (features, strength): (&[u32], f32),
) -> Result<ListFigures> {
    let (changed, _) = users.changed(&scaled(indexed, features, strength));
    let ranked = users.ranked(&changed, N_LIST)?;
    Ok(users.figures(&ranked, &changed, members))
}
