//! What was dropped on the window.

/// What can be done with something that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArrivalKind {
    /// A project, to be opened.
    Project,
    /// A folder of films, or the folder of a table that names films.
    Films {
        /// The table; empty without one.
        table: String,
    },
    /// A table of report texts.
    Reports,
    /// Item histories.
    Interactions {
        /// Whether it is a table whose columns are mapped.
        is_table: bool,
    },
    /// A recommender's checkpoint.
    Recommender,
    /// A dictionary of another tool, or a folder of several.
    Dictionary,
    /// A model that is no recommender.
    Model,
    /// Nothing here; what is said of it tells why.
    Nothing,
}

/// Something that was dropped, or is held over the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The file or folder; empty when it was several.
    pub path: String,
    /// What a project, dataset or model made from it could be called.
    pub name: String,
    /// What can be done with it.
    pub kind: ArrivalKind,
    /// What it is, e.g. `a folder of 120 films`; of [`ArrivalKind::Nothing`] a sentence.
    pub said: String,
    /// Folder that a new project for it could have.
    pub folder: String,
}
