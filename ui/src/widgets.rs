//! What several screens draw: films, tokens, items, histograms. Knows no screen.

pub(crate) mod chart;
pub(crate) mod chip;
pub(crate) mod colour_map;
pub(crate) mod contours;
pub(crate) mod discard;
pub(crate) mod example;
pub(crate) mod film_shade;
pub(crate) mod film_viewer;
pub(crate) mod hanging;
pub(crate) mod histogram;
pub(crate) mod icon;
pub(crate) mod item_card;
pub(crate) mod item_row;
pub(crate) mod item_strip;
pub(crate) mod located_report;
pub(crate) mod notice;
pub(crate) mod number;
pub(crate) mod plot;
pub(crate) mod reviewer_name;
pub(crate) mod split;
pub(crate) mod table;
pub(crate) mod token_text;
pub(crate) mod trade_off;
pub(crate) mod word_diff;
