//! Charts as PNG: their SVG, rasterised with the typeface that comes with the program.

use std::io::Cursor;

use image::{ImageFormat, RgbaImage};
use resvg::tiny_skia::Pixmap;

use crate::chart_svg;
use crate::drawing;
use crate::error::{EngineError, Result};
use crate::views::Chart;

/// Pixels per unit of the SVG, so that it is sharp in print.
const SCALE: f32 = 2.0;

/// The bytes of the file.
pub(crate) fn of(chart: &Chart) -> Result<Vec<u8>> {
    let failed = |what: String| EngineError::other(format!("chart {}: {what}", chart.id));
    let tree = drawing::read(&chart_svg::file(chart))
        .map_err(|error| failed(format!("cannot be drawn ({error})")))?;
    let size = tree.size();
    let (width, height) = (
        (size.width() * SCALE).ceil() as u32,
        (size.height() * SCALE).ceil() as u32,
    );
    let mut pixmap = Pixmap::new(width, height)
        .ok_or_else(|| failed(format!("{width} by {height} pixels are too many")))?;
    drawing::draw(&tree, SCALE, &mut pixmap.as_mut());
    // The ground is opaque, so that premultiplied colours are the colours themselves.
    let image = RgbaImage::from_raw(width, height, pixmap.take())
        .ok_or_else(|| failed("its pixels are not as many as its size".to_owned()))?;
    let mut bytes = Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|error| failed(error.to_string()))?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::{Axis, ChartShape, ChartValue, Mark, Series};

    #[test]
    fn bars_and_words_are_drawn() {
        let with = |title: &str, value: f64| {
            let chart = Chart {
                id: "x".to_owned(),
                title: title.to_owned(),
                shape: ChartShape::Rows,
                category: "Finding".to_owned(),
                categories: vec!["nodule".to_owned()],
                axis: Axis {
                    name: "AUROC".to_owned(),
                    unit: String::new(),
                    covers: [0.0, 1.0],
                },
                reference: None,
                series: vec![Series {
                    name: "1 feature".to_owned(),
                    mark: Mark::Bar,
                    values: vec![Some(ChartValue::exact(value))],
                }],
                source: String::new(),
            };
            image::load_from_memory(&of(&chart).unwrap())
                .unwrap()
                .to_rgba8()
        };
        let picture = with("A title", 0.5);
        assert_eq!(picture.width(), 1520);
        assert!(picture.pixels().all(|pixel| pixel.0[3] == 255));
        let blue = |picture: &RgbaImage| {
            let pixels = picture.pixels();
            pixels.filter(|p| p.0[..3] == [0, 0x72, 0xb2]).count() as f64
        };
        let share = blue(&with("A title", 1.0)) / blue(&picture);
        assert!((share - 2.0).abs() < 0.05, "{share}");
        let dark = |picture: &RgbaImage| picture.pixels().filter(|p| p.0[0] < 90).count();
        assert!(dark(&picture) > dark(&with("", 0.5)) + 100);
    }
}
