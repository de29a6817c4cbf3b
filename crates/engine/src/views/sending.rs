//! What would go to another computer, and what was allowed.

/// What a request would send to another computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendingView {
    /// The address, without the name of the model.
    pub address: String,
    /// The body of the first request, as it would be sent. Nothing was sent yet.
    pub body: String,
    /// The requests that would follow it, and itself, by kind.
    pub planned: Vec<PlannedRequests>,
    /// What was taken out of all texts, and what was not.
    pub deidentified: String,
}

/// Requests of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRequests {
    /// What they ask.
    pub kind: String,
    /// So many at most: what was answered before is not asked again.
    pub most: usize,
}

/// An address that may be asked in a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendingConsent {
    /// The address, without the name of the model.
    pub address: String,
    /// When it was allowed, RFC 3339 in UTC.
    pub at: String,
    /// BLAKE3 of the request that was shown.
    pub shown_blake3: String,
}
