//! How far readers agree: chance-corrected coefficients, raw agreement and likeness of texts, with
//! intervals over features.
//!
//! One table, [`Ratings`], holds what each reader said of each feature; every coefficient is a
//! method of it, `None` where it is not defined. No coefficient should be shown alone: where
//! nearly every label is accepted, kappa is near 0 at 90 % raw agreement, so raw agreement and
//! [`Coefficient::GwetAc1`] belong beside it.

mod bootstrap;
mod cohen;
mod fleiss;
mod gwet;
mod krippendorff;
mod ratings;
mod raw;
mod text;

pub use bootstrap::{AgreementEstimate, Coefficient};
pub use cohen::Weighting;
pub use krippendorff::Level;
pub use ratings::Ratings;
pub use text::{TextAgreement, edit_similarity, same_text, text_agreement};
