//! What a page shows of one feature.

use schema::{FeatureId, PatchGrid};
use serde::Serialize;

use crate::error::Result;
use crate::jobs::JobContext;
use crate::views::{ExampleContent, ExampleView, FeaturePage, ItemView};

use super::pictures::Pictures;

/// Examples of the strongest, and of each band.
const N_STRONGEST: usize = 5;
const N_PER_BAND: usize = 2;

/// A feature, as the page's script reads it.
#[derive(Serialize)]
pub(super) struct ShownItem {
    feature: FeatureId,
    /// The proposed label; empty for none.
    proposal: String,
    /// What proposed it.
    by: String,
    density: f32,
    sample_density: f32,
    maximum: f32,
    parts: Vec<Part>,
}

/// The strongest examples, or those of one band of activation.
#[derive(Serialize)]
struct Part {
    name: String,
    examples: Vec<ShownExample>,
}

/// A sample, by its number only.
#[derive(Serialize)]
struct ShownExample {
    sample: u32,
    activation: f32,
    /// Place of its film among the images.
    image: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grid: Option<ShownGrid>,
    /// Cell, level, cell, level, …; levels of 255 are the feature's maximum, cells at 0 left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    heat: Vec<u32>,
    /// Text and level of each token.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Vec<(String, u32)>>,
    /// Title, level and place of the picture of each item.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<(String, u32, Option<usize>)>>,
}

/// A grid of patches, its rectangle in shares of the film.
#[derive(Serialize)]
struct ShownGrid {
    rows: u32,
    columns: u32,
    left: f32,
    top: f32,
    width: f32,
    height: f32,
}

/// The evidence for a feature without anything that tells whose sample it is.
pub(super) fn shown_item(
    page: &FeaturePage,
    pictures: &mut Pictures<'_>,
    job: &JobContext,
) -> Result<ShownItem> {
    let maximum = page.card.max_activation;
    let mut part = |name: String, examples: &[ExampleView], n: usize| -> Result<Part> {
        let examples = examples.iter().take(n).map(|example| {
            job.check_cancelled()?;
            Ok(shown_example(example, maximum, pictures, job))
        });
        Ok(Part {
            name,
            examples: examples.collect::<Result<_>>()?,
        })
    };
    let mut parts = vec![part("Strongest".to_owned(), &page.top, N_STRONGEST)?];
    let n_bands = page.bands.len();
    for (at, band) in page.bands.iter().enumerate() {
        let share = |bands: usize| 100 * bands / n_bands;
        let name = format!(
            "Quantiles {} to {} %",
            share(n_bands - at - 1),
            share(n_bands - at)
        );
        parts.push(part(name, band, N_PER_BAND)?);
    }
    parts.retain(|part| !part.examples.is_empty());
    Ok(ShownItem {
        feature: page.card.feature,
        proposal: page.card.proposal.clone(),
        by: page
            .explanations
            .first()
            .map(|explanation| explanation.by.clone())
            .unwrap_or_default(),
        density: page.card.density,
        sample_density: page.card.sample_density,
        maximum,
        parts,
    })
}

fn shown_example(
    example: &ExampleView,
    maximum: f32,
    pictures: &mut Pictures<'_>,
    job: &JobContext,
) -> ShownExample {
    let level = |activation: f32| level(activation, maximum);
    let mut shown = ShownExample {
        sample: example.sample,
        activation: example.activation,
        image: None,
        grid: None,
        heat: Vec::new(),
        tokens: None,
        items: None,
    };
    match &example.content {
        ExampleContent::Film {
            size, grid, heat, ..
        } => {
            shown.image = pictures.film(example.sample, job);
            shown.grid = Some(shown_grid(grid, *size));
            for (cell, &activation) in heat.iter().enumerate() {
                if level(activation) > 0 {
                    shown.heat.extend([cell as u32, level(activation)]);
                }
            }
        }
        ExampleContent::Text { tokens } => {
            shown.image = pictures.film(example.sample, job);
            let tokens = tokens.iter();
            shown.tokens = Some(
                tokens
                    .map(|token| (token.text.clone(), level(token.activation)))
                    .collect(),
            );
        }
        ExampleContent::History { items } => {
            let mut shown_item = |item: &ItemView| {
                let picture = item.picture.as_ref().and_then(|path| pictures.item(path));
                (item.title.clone(), level(item.activation), picture)
            };
            shown.items = Some(items.iter().map(&mut shown_item).collect());
        }
    }
    shown
}

/// An activation as a level of 255; one above 0 is at least 1.
fn level(activation: f32, maximum: f32) -> u32 {
    if activation > 0.0 && maximum > 0.0 {
        ((255.0 * activation / maximum).round() as u32).clamp(1, 255)
    } else {
        0
    }
}

fn shown_grid(grid: &PatchGrid, [width, height]: [u32; 2]) -> ShownGrid {
    let (width, height) = (width.max(1) as f32, height.max(1) as f32);
    ShownGrid {
        rows: grid.rows,
        columns: grid.columns,
        left: grid.left / width,
        top: grid.top / height,
        width: grid.width / width,
        height: grid.height / height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_by_hand() {
        assert_eq!(level(0.0, 2.0), 0);
        assert_eq!(level(1e-6, 2.0), 1);
        assert_eq!(level(1.0, 2.0), 128);
        assert_eq!(level(2.0, 2.0), 255);
        assert_eq!(level(3.0, 2.0), 255);
        assert_eq!(level(f32::NAN, 2.0), 0);
        assert_eq!(level(1.0, 0.0), 0);
    }

    #[test]
    fn a_grid_in_shares_of_the_film() {
        let grid = PatchGrid {
            rows: 4,
            columns: 4,
            left: 10.0,
            top: 0.0,
            width: 80.0,
            height: 50.0,
        };
        let shown = shown_grid(&grid, [100, 50]);
        assert_eq!(
            [shown.left, shown.top, shown.width, shown.height],
            [0.1, 0.0, 0.8, 1.0]
        );
    }
}
