//! Writes the report of a phantom film: planted findings stated, others negated or past, shuffled.

use rand::Rng as _;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use schema::Report;

use super::FINDINGS;
use super::anatomy::Side;
use super::plan::{LineCourse, Place, Plan, Size, Zone};
use super::report_reader::ReportState;

/// What a report says about each finding of [`FINDINGS`].
pub(super) type Stated = [Option<ReportState>; FINDINGS.len()];

/// Findings and impression are filled up to at least this many words.
const LEAST_WORDS: usize = 25;
/// From this many planted findings on only short phrases are used.
const CROWDED: usize = 5;

/// Names of each finding that stand alone after "no" or "prior".
const NAMES: [&[&str]; FINDINGS.len()] = [
    &["cardiomegaly", "enlargement of the heart"],
    &["left pleural effusion", "left effusion"],
    &["right pleural effusion", "right effusion"],
    &["pneumothorax"],
    &["nodule", "lung nodule", "round lesion"],
    &["consolidation", "focal consolidation", "airspace opacity"],
    &["pacemaker", "pacing device"],
    &["central line", "central venous catheter"],
    &["endotracheal tube", "breathing tube"],
    &["rotation", "patient rotation"],
    &["portable marker"],
    &["side letter", "laterality marker"],
];

/// Findings that are devices or writing: they are removed rather than resolved.
fn is_object(finding: usize) -> bool {
    matches!(finding, 6..=8 | 10 | 11)
}

/// The report of `plan`.
pub(super) fn write_report(rng: &mut ChaCha8Rng, plan: &Plan) -> Report {
    compose(rng, plan).0
}

/// The report of `plan` and what it states, by finding.
pub(super) fn compose(rng: &mut ChaCha8Rng, plan: &Plan) -> (Report, Stated) {
    let mut writer = Writer {
        rng,
        plan,
        present: plan.present(),
        stated: [None; FINDINGS.len()],
        sentences: Vec::new(),
        prior_used: false,
    };
    writer.state_present();
    let impression = writer.impression();
    writer.state_others(word_count(&impression));
    writer.sentences.shuffle(writer.rng);
    let findings = writer.sentences.join(" ");
    let indication = pick(
        writer.rng,
        &[
            "Cough.",
            "Chest pain.",
            "Fever.",
            "Short of breath.",
            "Follow up.",
            "Fall.",
        ],
    );
    let comparison = if writer.prior_used {
        pick(
            writer.rng,
            &["Prior film.", "Film of last week.", "Film of yesterday."],
        )
    } else {
        pick(writer.rng, &["None.", "None.", "Prior film."])
    };
    let report = Report {
        indication: indication.to_owned(),
        technique: String::new(),
        comparison: comparison.to_owned(),
        findings,
        impression,
    };
    (report, writer.stated)
}

fn word_count(text: &str) -> usize {
    text.split_whitespace().count()
}

fn pick<'a>(rng: &mut ChaCha8Rng, choices: &[&'a str]) -> &'a str {
    choices.choose(rng).copied().unwrap_or_default()
}

/// The first letter large, a full stop at the end.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    format!("{first}{}.", letters.as_str())
}

struct Writer<'a> {
    rng: &'a mut ChaCha8Rng,
    plan: &'a Plan,
    present: [bool; FINDINGS.len()],
    stated: Stated,
    sentences: Vec<String>,
    prior_used: bool,
}

impl Writer<'_> {
    fn n_present(&self) -> usize {
        self.present.iter().filter(|present| **present).count()
    }

    fn words(&self) -> usize {
        self.sentences.iter().map(|text| word_count(text)).sum()
    }

    /// One of the phrases; only one of the first two in a crowded report.
    fn phrase<'p>(&mut self, choices: &[&'p str]) -> &'p str {
        let short = if self.n_present() >= CROWDED {
            2
        } else {
            choices.len()
        };
        pick(self.rng, choices.get(..short).unwrap_or(choices))
    }

    fn state_present(&mut self) {
        let both = self.present[1] && self.present[2] && self.rng.random_bool(0.5);
        if both {
            let text = self.phrase(&[
                "bilateral pleural effusions",
                "pleural effusions on both sides",
                "there are bilateral effusions",
            ]);
            self.push_present(&[1, 2], text);
        }
        for finding in 0..FINDINGS.len() {
            if self.present[finding] && !(both && matches!(finding, 1 | 2)) {
                let text = self.present_text(finding);
                self.push_present(&[finding], &text);
            }
        }
    }

    fn push_present(&mut self, findings: &[usize], text: &str) {
        for &finding in findings {
            self.stated[finding] = Some(ReportState::Present);
        }
        let open = self.open_findings();
        let companion = open
            .choose(self.rng)
            .copied()
            .filter(|_| self.rng.random_bool(0.12));
        if let Some(other) = companion {
            self.stated[other] = Some(ReportState::Absent);
            let name = pick(self.rng, NAMES[other]);
            self.sentences
                .push(sentence(&format!("{text} without {name}")));
        } else {
            self.sentences.push(sentence(text));
        }
    }

    /// Absent findings the report has not spoken of.
    fn open_findings(&self) -> Vec<usize> {
        (0..FINDINGS.len())
            .filter(|&i| !self.present[i] && self.stated[i].is_none())
            .collect()
    }

    fn present_text(&mut self, finding: usize) -> String {
        let plan = self.plan;
        match finding {
            0 => self.cardiomegaly_text(plan.cardiomegaly.unwrap_or_default()),
            1 => self.effusion_text(Side::Left),
            2 => self.effusion_text(Side::Right),
            3 => self.pneumothorax_text(),
            4 => self.nodule_text(),
            5 => self.consolidation_text(),
            6 => self.pacemaker_text(),
            7 => self.line_text(),
            8 => self
                .phrase(&[
                    "endotracheal tube in place",
                    "intubated with endotracheal tube",
                    "an endotracheal tube ends above the carina",
                    "the endotracheal tube tip is in the trachea",
                    "a breathing tube is in good position",
                ])
                .to_owned(),
            9 => {
                let side = plan.rotated.map_or("", Side::word);
                self.phrase(&[
                    "patient is rotated",
                    "rotated to the {side}",
                    "the patient is rotated to the {side}",
                    "film is limited by patient rotation to the {side}",
                    "there is rotation of the patient",
                ])
                .replace("{side}", side)
            }
            10 => self
                .phrase(&[
                    "portable film",
                    "portable view",
                    "the film is marked as portable",
                    "a portable marker is seen in the corner",
                    "portable technique",
                ])
                .to_owned(),
            _ => {
                let (word, letter) = match plan.letter {
                    Some(Side::Right) => ("right", "R"),
                    _ => ("left", "L"),
                };
                self.phrase(&[
                    "side letter {letter}",
                    "{side} side letter is present",
                    "a side letter {letter} is seen in the upper corner",
                    "the laterality marker {letter} is visible",
                    "laterality marker on the {side} side",
                ])
                .replace("{letter}", letter)
                .replace("{side}", word)
            }
        }
    }

    fn cardiomegaly_text(&mut self, amount: f32) -> String {
        let degree = match Size::of(amount) {
            Size::Small => "mild",
            Size::Moderate => "moderate",
            Size::Large => "marked",
        };
        self.phrase(&[
            "{degree} cardiomegaly",
            "heart is enlarged",
            "the cardiac silhouette is enlarged",
            "there is {degree} cardiomegaly",
            "{degree} enlargement of the heart",
            "the heart size is increased",
        ])
        .replace("{degree}", degree)
    }

    fn effusion_text(&mut self, side: Side) -> String {
        let size = size_word(self.plan.effusion(side).unwrap_or_default());
        self.phrase(&[
            "{size} {side} pleural effusion",
            "{side} effusion",
            "there is a {size} {side} pleural effusion",
            "{size} effusion on the {side}",
            "the {side} costophrenic angle is blunted by effusion",
            "{side} pleural effusion is {size}",
        ])
        .replace("{side}", side.word())
        .replace("{size}", size)
    }

    fn pneumothorax_text(&mut self) -> String {
        let (side, amount) = self.plan.pneumothorax.unwrap_or((Side::Left, 0.0));
        self.phrase(&[
            "{size} {side} pneumothorax",
            "{side} pneumothorax",
            "there is a {size} {side} pneumothorax",
            "a pleural line shows a {size} pneumothorax on the {side}",
            "pneumothorax on the {side} with visible pleural line",
        ])
        .replace("{side}", side.word())
        .replace("{size}", size_word(amount))
    }

    fn nodule_text(&mut self) -> String {
        let (side, zone) = place_words(self.plan.nodule_place);
        let size = match Size::of(self.plan.nodule.unwrap_or_default()) {
            Size::Small => "small",
            Size::Moderate => "round",
            Size::Large => "large",
        };
        self.phrase(&[
            "{size} {side} nodule",
            "nodule in the {side} lung",
            "{size} nodule in the {zone} {side} lung",
            "there is a round lesion in the {side} {zone} zone",
            "a {size} lung nodule projects over the {side} {zone} zone",
        ])
        .replace("{side}", side)
        .replace("{zone}", zone)
        .replace("{size}", size)
    }

    fn consolidation_text(&mut self) -> String {
        let (side, zone) = place_words(self.plan.consolidation_place);
        self.phrase(&[
            "{side} {zone} consolidation",
            "{side} consolidation",
            "consolidation in the {side} {zone} zone",
            "there is airspace opacity in the {zone} {side} lung",
            "patchy airspace opacity in the {side} {zone} zone",
            "focal consolidation is seen in the {side} lung",
        ])
        .replace("{side}", side)
        .replace("{zone}", zone)
    }

    fn pacemaker_text(&mut self) -> String {
        let side = self.plan.pacemaker.map_or("", Side::word);
        self.phrase(&[
            "{side} pacemaker",
            "pacemaker in place",
            "a pacemaker projects over the {side} chest",
            "{side} chest pacing device with one lead",
            "the pacemaker lead ends in the right ventricle",
        ])
        .replace("{side}", side)
    }

    fn line_text(&mut self) -> String {
        let (route, side) = match self.plan.central_line {
            Some(LineCourse::Arm(side)) => ("arm", side.word()),
            Some(LineCourse::Jugular(side)) => ("jugular", side.word()),
            None => ("", ""),
        };
        self.phrase(&[
            "{side} central line",
            "central line in place",
            "{side} {route} central line ends in the vena cava",
            "a central venous catheter from the {side} {route} is seen",
            "{side} {route} central venous catheter",
            "tip of the central line is in the vena cava",
        ])
        .replace("{side}", side)
        .replace("{route}", route)
    }

    /// The impression, or the empty string: most reports leave it out.
    fn impression(&mut self) -> String {
        let present: Vec<usize> = (0..9).filter(|&i| self.present[i]).collect();
        if !self.rng.random_bool(0.35) || self.n_present() >= CROWDED {
            return String::new();
        }
        let named: Vec<&str> = present
            .choose_multiple(self.rng, 2)
            .map(|&i| NAMES[i][0])
            .collect();
        if named.is_empty() {
            return pick(
                self.rng,
                &["No acute disease.", "No acute findings.", "Normal chest."],
            )
            .to_owned();
        }
        sentence(&named.join(" and "))
    }

    /// Negates or dates back absent findings until the report is long enough.
    fn state_others(&mut self, impression_words: usize) {
        if self.rng.random_bool(0.4) && self.n_present() < CROWDED {
            let text = pick(
                self.rng,
                &[
                    "bones are intact",
                    "the bony thorax is intact",
                    "hilar contours are unremarkable",
                    "soft tissues are unremarkable",
                ],
            );
            self.sentences.push(sentence(text));
        }
        let wanted_words = self.rng.random_range(LEAST_WORDS..LEAST_WORDS + 9);
        let mut wanted_others = self.n_present().div_ceil(2).min(3);
        while self.words() + impression_words < wanted_words || wanted_others > 0 {
            wanted_others = wanted_others.saturating_sub(1);
            let open = self.open_findings();
            let Some(&finding) = open.choose(self.rng) else {
                return;
            };
            let text = if self.rng.random_bool(0.28) {
                self.prior_text(finding)
            } else {
                self.absent_text(finding, &open)
            };
            self.sentences.push(sentence(&text));
        }
    }

    fn prior_text(&mut self, finding: usize) -> String {
        self.prior_used = true;
        self.stated[finding] = Some(ReportState::Prior);
        if finding == 9 {
            return self
                .phrase(&[
                    "the prior film was rotated",
                    "rotation of the prior film is no longer seen",
                ])
                .to_owned();
        }
        let choices: &[&str] = match finding {
            10 => &[
                "the prior film was portable",
                "prior portable marker is no longer seen",
            ],
            11 => &[
                "the prior film had a side letter",
                "prior side letter is no longer seen",
            ],
            _ if is_object(finding) => &[
                "the {name} has been removed",
                "prior {name} was removed",
                "previously seen {name} has been removed",
                "the prior {name} is no longer seen",
            ],
            _ => &[
                "prior {name} has resolved",
                "previous {name} has cleared",
                "previously seen {name} has resolved",
                "the {name} of the prior film is no longer seen",
                "{name} has resolved since the prior film",
            ],
        };
        let name = pick(self.rng, NAMES[finding]);
        self.phrase(choices).replace("{name}", name)
    }

    fn absent_text(&mut self, finding: usize, open: &[usize]) -> String {
        let is_open = |i: usize| open.contains(&i);
        let (findings, choices): (&[usize], &[&str]) = match finding {
            0 if self.rng.random_bool(0.6) => (
                &[0],
                &[
                    "heart size is normal",
                    "the heart is not enlarged",
                    "the cardiac silhouette is normal in size",
                ],
            ),
            1 | 2 if is_open(1) && is_open(2) && self.rng.random_bool(0.8) => (
                &[1, 2],
                &[
                    "no pleural effusion",
                    "no effusion on either side",
                    "there is no pleural effusion",
                    "both costophrenic angles are sharp",
                    "no evidence of pleural effusion",
                ],
            ),
            3 if is_open(1) && is_open(2) && self.rng.random_bool(0.4) => (
                &[1, 2, 3],
                &[
                    "no effusion or pneumothorax",
                    "no pneumothorax or pleural effusion",
                ],
            ),
            4 | 5 if is_open(4) && is_open(5) && self.rng.random_bool(0.4) => (
                &[4, 5],
                &[
                    "lungs are clear",
                    "no nodule or consolidation",
                    "both lungs are clear",
                    "no focal consolidation or lung nodule is seen",
                ],
            ),
            7 | 8 if is_open(7) && is_open(8) && self.rng.random_bool(0.3) => (
                &[7, 8],
                &["no lines or tubes", "there are no lines or tubes"],
            ),
            9 => (
                &[9],
                &[
                    "no rotation",
                    "patient is not rotated",
                    "the patient is not rotated",
                ],
            ),
            10 => (
                &[10],
                &[
                    "no portable marker",
                    "not a portable film",
                    "the film is not portable",
                ],
            ),
            _ => (
                &[],
                &[
                    "no {name}",
                    "no {name} is seen",
                    "there is no {name}",
                    "no evidence of {name}",
                    "{name} is not seen",
                ],
            ),
        };
        for &stated in findings {
            self.stated[stated] = Some(ReportState::Absent);
        }
        self.stated[finding] = Some(ReportState::Absent);
        let name = pick(self.rng, NAMES[finding]);
        self.phrase(choices).replace("{name}", name)
    }
}

fn size_word(amount: f32) -> &'static str {
    match Size::of(amount) {
        Size::Small => "small",
        Size::Moderate => "moderate",
        Size::Large => "large",
    }
}

fn place_words(place: Option<Place>) -> (&'static str, &'static str) {
    place.map_or(("left", "mid"), |place| {
        let zone = match place.zone {
            Zone::Upper => "upper",
            Zone::Mid => "mid",
            Zone::Lower => "lower",
        };
        (place.side.word(), zone)
    })
}
