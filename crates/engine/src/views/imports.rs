//! What can be imported, and what an import would bring.

use schema::{DatasetKind, Skipped};
use serde::{Deserialize, Serialize};

/// Item histories that are to be imported. Empty text means: as the layout has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InteractionsRequest {
    /// Name of the new dataset.
    pub name: String,
    /// Folder, or one file.
    pub path: String,
    /// `rechorus`, `movielens`, `recbole` or `csv`; empty or `auto` to judge by the files.
    pub layout: String,
    /// `user=…,item=…,time=…,rating=…,title=…,categories=…,picture=…`; empty to recognise by name.
    pub columns: String,
    /// Further table of items; empty for none.
    pub items: String,
    /// `leave-one-out` or `global-time`; empty or `auto` for what the files state, else
    /// leave-one-out.
    pub split: String,
    /// The least rating that counts as an interaction; empty for all.
    pub min_rating: String,
    /// Users and items with fewer interactions are left out; empty for 5 with MovieLens and 1 with
    /// all others.
    pub core: String,
}

/// What is to be imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportRequest {
    /// Films from a folder, with tables.
    Radiographs {
        /// Name of the new dataset.
        name: String,
        /// Folder of images.
        images: String,
        /// Table with one row per image; empty for none.
        table: String,
        /// `image=…,patient=…,study=…,labels=…,report=…`; empty to recognise by name.
        columns: String,
        /// Table of findings, or a folder with lists of phrases by which they are read in the
        /// reports; empty for the labels of the table.
        #[serde(default)]
        labels: String,
        /// Table of radiologists' boxes; empty for none.
        boxes: String,
    },
    /// Report texts from a table.
    Reports {
        /// Name of the new dataset.
        name: String,
        /// The table.
        table: String,
        /// `id=…,findings=…,impression=…`; empty to recognise by name.
        columns: String,
        /// Table of findings, or a folder with lists of phrases by which they are read in the
        /// reports; empty for none.
        labels: String,
    },
    /// Item histories.
    Interactions(InteractionsRequest),
    /// Phantom radiographs with planted findings.
    PhantomRadiographs {
        /// Name of the new dataset.
        name: String,
        /// Number of films.
        count: u32,
        /// Seed.
        seed: u64,
    },
    /// Phantom shoppers with planted tastes.
    PhantomShoppers {
        /// Name of the new dataset.
        name: String,
        /// Number of shoppers.
        count: u32,
        /// Seed.
        seed: u64,
    },
}

/// What an import would write; nothing has been written yet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportPreview {
    /// The request it answers.
    pub request: ImportRequest,
    /// What the samples are.
    pub kind: DatasetKind,
    /// Samples that would be imported.
    pub n_samples: u32,
    /// What was recognised, one sentence each.
    pub recognised: Vec<String>,
    /// What the user should know, e.g. columns that identify patients.
    pub warnings: Vec<String>,
    /// How much would be skipped.
    pub n_skipped: u64,
    /// What would be skipped, with reasons; of rows of interactions at most 1,000 for each.
    pub skipped: Vec<Skipped>,
}
