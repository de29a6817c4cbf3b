//! Features on one page: a file that a reader opens in a browser, answers, and hands back.
//!
//! The page asks for no network and holds no identity of patients or users: samples are numbers,
//! films are pixels.

mod page;
mod pictures;
mod shown;

use std::path::{Path, PathBuf};

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use schema::{FeatureId, ReviewState};
use serde::Serialize;

use crate::error::{EngineError, Result};
use crate::indexed::check_feature;
use crate::jobs::JobContext;
use crate::named_files::{check_output, write_output};
use crate::session::Session;
use crate::views::{ExampleKind, FeatureQuery, SAFETY};

use pictures::{Picture, Pictures};
use shown::{ShownItem, shown_item};

/// Largest page: what browsers on a reading room's computer open without trouble.
const MAX_BYTES: usize = 100 << 20;
/// What a file of answers calls itself.
pub(crate) const PACKET_FORMAT: &str = "fluoroscope-packet";

/// Which features go into a packet, and how they are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketRequest {
    /// The dictionary.
    pub sae: String,
    /// The page to write.
    pub file: PathBuf,
    /// These features in this order; empty to draw `limit` of those that nobody decided on.
    pub features: Vec<FeatureId>,
    /// How many are drawn.
    pub limit: usize,
    /// Name of the reader, who can change it; empty to be asked for it.
    pub reviewer: String,
    /// Seed of the draw and of the order.
    pub seed: u64,
    /// Whether the reader must write a label before the proposed one is shown.
    pub write_first: bool,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenPacket {
    /// The page.
    pub file: PathBuf,
    /// Its id, which its answers carry.
    pub packet: String,
    /// Features in their order.
    pub features: Vec<FeatureId>,
    /// Films and pictures in it.
    pub n_pictures: usize,
    /// Its size.
    pub n_bytes: usize,
}

impl WrittenPacket {
    /// What was written, in a sentence without full stop.
    pub fn sentence(&self) -> String {
        format!(
            "Wrote {} features with {} pictures to {} ({:.1} MB); open it in a browser, no network \
             is needed",
            self.features.len(),
            self.n_pictures,
            self.file.display(),
            self.n_bytes as f64 / 1e6
        )
    }
}

/// What the page's script reads.
#[derive(Serialize)]
struct Packet<'a> {
    format: &'a str,
    version: u32,
    note: &'a str,
    /// Hash of the rest, by which answers find their packet.
    #[serde(rename = "packet")]
    id: String,
    sae: &'a str,
    sae_hash: &'a str,
    model: &'a str,
    kind: &'a str,
    mode: &'a str,
    reviewer: &'a str,
    seed: u64,
    items: Vec<ShownItem>,
    images: Vec<Picture>,
}

impl Session {
    /// Writes one self-contained page with the evidence for features, their proposed labels and a
    /// form for a reader's answers, which [`Session::import_decisions`] takes back.
    ///
    /// Drawn are features that are active somewhere and undecided; where any of them has a
    /// proposed label, only such.
    ///
    /// # Determinism
    /// The page is a function of the project and the request.
    ///
    /// # Errors
    /// When there is no such dictionary or feature, nothing is left to draw, the page would be
    /// larger than browsers open well, the file cannot be written, or the user stops.
    pub fn write_packet(&self, request: &PacketRequest, job: &JobContext) -> Result<WrittenPacket> {
        check_output(&request.file)?;
        let features = self.features_of_packet(request)?;
        let indexed = self.indexed(&request.sae)?;
        let mut pictures = Pictures::of(&indexed);
        let mut items = Vec::with_capacity(features.len());
        for (at, &feature) in features.iter().enumerate() {
            job.check_cancelled()?;
            job.report(
                "Drawing features",
                at as u64,
                features.len() as u64,
                "features",
            );
            let page = self.feature_page(&request.sae, feature)?;
            items.push(shown_item(&page, &mut pictures, job)?);
            if pictures.n_bytes() > MAX_BYTES {
                return Err(too_large(&request.file, at + 1, features.len()));
            }
        }
        let images = pictures.into_all();
        let n_pictures = images.len();
        let mut packet = Packet {
            format: PACKET_FORMAT,
            version: 1,
            note: SAFETY,
            id: String::new(),
            sae: &request.sae,
            sae_hash: &indexed.dictionary.hash,
            model: &indexed.harvest.model,
            kind: match indexed.kind {
                ExampleKind::Film => "film",
                ExampleKind::Text => "text",
                ExampleKind::History => "history",
            },
            mode: if request.write_first {
                "write-first"
            } else {
                "proposal-first"
            },
            reviewer: request.reviewer.trim(),
            seed: request.seed,
            items,
            images,
        };
        packet.id = store::blake3_of_bytes(&json(&packet)?);
        packet.id.truncate(32);
        let page = page::of(&packet.id, &json(&packet)?)?;
        if page.len() > MAX_BYTES {
            return Err(too_large(&request.file, features.len(), features.len()));
        }
        write_output(&request.file, page.as_bytes())?;
        Ok(WrittenPacket {
            file: request.file.clone(),
            packet: packet.id,
            features,
            n_pictures,
            n_bytes: page.len(),
        })
    }

    fn features_of_packet(&self, request: &PacketRequest) -> Result<Vec<FeatureId>> {
        let sae = &request.sae;
        if !request.features.is_empty() {
            let n_features = self.indexed(sae)?.index.n_features();
            let mut named = Vec::new();
            for &feature in &request.features {
                check_feature(sae, feature.0, n_features)?;
                if !named.contains(&feature) {
                    named.push(feature);
                }
            }
            return Ok(named);
        }
        let undecided = FeatureQuery {
            state: Some(ReviewState::Unseen),
            ..FeatureQuery::default()
        };
        let mut drawn = self.feature_ids(sae, &undecided)?;
        let labels = self.labels(sae)?;
        let has_proposal = |feature: &FeatureId| !labels.proposal(*feature).is_empty();
        if drawn.iter().any(has_proposal) {
            drawn.retain(has_proposal);
        }
        if drawn.is_empty() || request.limit == 0 {
            return Err(EngineError::request(format!(
                "{sae} has {} undecided features that are active, of which {} were asked for; name \
                 features to have them read again",
                drawn.len(),
                request.limit
            )));
        }
        drawn.shuffle(&mut ChaCha8Rng::seed_from_u64(request.seed));
        drawn.truncate(request.limit);
        Ok(drawn)
    }
}

fn json(packet: &Packet<'_>) -> Result<Vec<u8>> {
    serde_json::to_vec(packet).map_err(|error| EngineError::other(error.to_string()))
}

fn too_large(file: &Path, n_drawn: usize, n_features: usize) -> EngineError {
    EngineError::request(format!(
        "{}: {n_drawn} of {n_features} features already fill the {} MB that a browser opens \
         without trouble; ask for fewer with --limit or --features",
        file.display(),
        MAX_BYTES >> 20
    ))
}
