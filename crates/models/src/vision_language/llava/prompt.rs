//! From films and texts to the ids and pixels of a prompt, every position typed.

use schema::PositionClass;

use super::Llava;
use crate::vision_language::maira_prompt::{
    IMAGE, MairaTask, StudyFilms, StudyTexts, TypedText, maira_content,
};
use crate::{ModelError, ModelInput, ModelSample, PromptImage};

impl Llava {
    /// An input that has images and no text yet.
    pub(super) fn with_images(&self, images: &[PromptImage<'_>]) -> Result<ModelInput, ModelError> {
        let mut input = ModelInput::default();
        for (i, image) in images.iter().enumerate() {
            let (pixels, shape, covered, film_size) = match *image {
                PromptImage::Film(film) => {
                    if film.pixels.is_empty() {
                        return Err(ModelError::Request("a film has no pixels".to_owned()));
                    }
                    let made = self.processor.process(film);
                    let shape = [3, made.size[0], made.size[1]];
                    let film_size = [film.width, film.height];
                    (made.pixels, shape, made.covered, film_size)
                }
                PromptImage::Processed(pixels, shape) => {
                    let [_, height, width] = shape;
                    let covered = [0.0, 0.0, width as f32, height as f32];
                    let film_size = [width as u32, height as u32];
                    (pixels.to_vec(), shape, covered, film_size)
                }
            };
            if i == 0 {
                input.pixels = pixels;
                input.pixel_shape = shape;
                input.covered = covered;
                input.film_size = film_size;
            } else if shape == input.pixel_shape {
                input.further_pixels.push(pixels);
            } else {
                return Err(ModelError::Request(format!(
                    "the images differ in size: {:?} and {shape:?}",
                    input.pixel_shape
                )));
            }
        }
        Ok(input)
    }

    /// An input of images and a typed text with a marker per image.
    ///
    /// # Errors
    /// [`ModelError::Request`] when markers and images do not match, or it is too long.
    pub fn typed_input(
        &self,
        text: &TypedText,
        images: &[PromptImage<'_>],
    ) -> Result<ModelInput, ModelError> {
        let mut input = self.with_images(images)?;
        let n_markers = text
            .parts()
            .iter()
            .filter(|(part, _)| part == IMAGE)
            .count();
        if n_markers != images.len() {
            return Err(ModelError::Request(format!(
                "the prompt has {n_markers} {IMAGE} marker{}, but there {}",
                if n_markers == 1 { "" } else { "s" },
                match images.len() {
                    1 => "is 1 image".to_owned(),
                    n => format!("are {n} images"),
                }
            )));
        }
        let n_tokens = self.tokens_per_image(input.pixel_shape);
        // Where each part ends in the expanded text, and its class.
        let (mut whole, mut ends) = (String::new(), Vec::new());
        for (part, class) in text.parts() {
            if *class == PositionClass::Image {
                whole.push_str(&part.repeat(n_tokens));
            } else {
                whole.push_str(part);
            }
            ends.push((whole.len(), *class));
        }
        for token in self.tokenizer.encode(&whole)? {
            let class = if token.end == 0 {
                PositionClass::Bos
            } else if token.id == self.config.image_token {
                PositionClass::Image
            } else {
                // A token belongs where its last byte is: a space before a word is the template's.
                let part = ends.iter().find(|(end, _)| token.end <= *end);
                part.map_or(PositionClass::Boilerplate, |(_, class)| *class)
            };
            input.ids.push(token.id);
            input.classes.push(class);
            input.texts.push(match class {
                PositionClass::Image => String::new(),
                PositionClass::Bos => self.tokenizer.token_text(token.id),
                _ => whole[token.start..token.end].to_owned(),
            });
        }
        self.check_input(&input)?;
        Ok(input)
    }

    /// The prompt of a study, as MAIRA-2's interface assembles it.
    ///
    /// # Errors
    /// [`ModelError::Request`] when the checkpoint has no chat template, or not the instruction.
    pub fn study_prompt(
        &self,
        task: MairaTask<'_>,
        films: StudyFilms,
        texts: StudyTexts<'_>,
    ) -> Result<TypedText, ModelError> {
        let content = maira_content(task, films, texts, &self.instructions)?;
        let template = self.template.as_ref().ok_or_else(|| {
            ModelError::Request(format!(
                "{} has no chat template: expected chat_template.json or a chat_template in \
                 tokenizer_config.json",
                self.folder.display()
            ))
        })?;
        let (before, after) = template.around(&content.text())?;
        Ok(content.within(&before, &after))
    }

    /// A study as prompt, its report after it where the sample has one.
    pub(super) fn study(&self, sample: ModelSample<'_>) -> Result<ModelInput, ModelError> {
        let mut films = vec![PromptImage::Film(sample.need_film(&self.card.name)?)];
        films.extend(sample.lateral.map(PromptImage::Film));
        films.extend(sample.prior.map(|(film, _)| PromptImage::Film(film)));
        let present = |text: &'_ str| !text.trim().is_empty();
        let report = sample.report;
        let texts = StudyTexts {
            indication: report.map(|r| r.indication.as_str()),
            technique: report.map(|r| r.technique.as_str()),
            comparison: report.map(|r| r.comparison.as_str()),
            prior_report: sample.prior.and_then(|(_, report)| report),
        };
        let shown = StudyFilms {
            has_lateral: sample.lateral.is_some(),
            has_prior: sample.prior.is_some(),
        };
        let mut text = self.study_prompt(MairaTask::Findings, shown, texts)?;
        if let Some(report) = report {
            let written = if present(&report.findings) {
                &report.findings
            } else {
                &report.impression
            };
            if present(written) {
                text = text.then(written.trim(), PositionClass::Report);
            }
        }
        self.typed_input(&text, &films)
    }
}
