//! The project folder: datasets, activation shards, dictionaries, the feature index, decisions.
//!
//! Only this crate knows the layout of a project and its database:
//!
//! ```text
//! project.json                       format version
//! <name>.fluoroscope                 what a desktop opens the project by
//! artefacts.jsonl                    one line per finished artefact, with the hash of its hashes.json
//! datasets/<name>/                   manifest.json samples.jsonl catalogue.jsonl images/ …
//! models/<name>/                     what the model needs
//! activations/<harvest>/             manifest.json shards.jsonl 00042.safetensors …
//! saes/<name>/                       cfg.json sae.safetensors metrics.jsonl checkpoints/ …
//! features/<sae>/                    manifest.json and the files of feature_index
//! concepts/<name>/                   request.json answers.jsonl concepts.json
//! explanations/<name>/               request.json answers.jsonl explanations.json
//! evaluations/<sae>/                 evaluation.json
//! journal/decisions.jsonl            every reviewer's decision, hash-chained: the truth
//! journal/detections.jsonl           every reader's answers to detection tests, likewise
//! db/                                sled: current reviews, explanations, settings
//! .cache/thumbnails/                 small copies of films; may be deleted, not backed up
//! ```
//!
//! Each finished artefact folder also holds `hashes.json`: BLAKE3 and size of each of its files,
//! and the artefacts it was made from.

#[cfg(target_endian = "big")]
compile_error!("files of a project are little-endian and read in place");

mod artefact;
mod associations;
mod atomic_file;
mod backup;
mod clock;
mod database;
mod datasets;
mod draft;
mod error;
mod feature_index;
mod feature_index_writer;
mod feature_summary;
mod hashes;
mod journal;
mod ledger;
mod mapped_file;
mod names;
mod plots;
mod project;
mod project_check;
mod project_link;
mod project_lock;
mod reading;
mod reviews;
mod shard_reader;
mod shard_writer;
mod standing;
mod summary_codec;
mod thumbnails;

pub use artefact::{ArtefactEntry, ArtefactId, ArtefactKind, ArtefactState};
pub use atomic_file::{Durability, write_atomically};
pub use backup::BackupProgress;
pub use clock::utc_now;
pub use datasets::Dataset;
pub use draft::ArtefactDraft;
pub use error::{Result, StoreError};
pub use feature_index::{FeatureIndex, IndexManifest, Overview};
pub use feature_index_writer::{FeatureIndexWriter, IndexProgress, RowCodes};
pub use hashes::{ArtefactHashes, FileHash, ParentHash, blake3_of_bytes, blake3_of_file};
pub use journal::Receipt;
pub use names::validate_name;
pub use project::Project;
pub use project_check::{CheckProgress, Fault};
pub use shard_reader::{HarvestReader, Shard};
pub use shard_writer::HarvestWriter;
pub use standing::{Record, Standing, standing, undo_and_redo, valid_records};
pub use thumbnails::{Thumbnail, Thumbnails};
