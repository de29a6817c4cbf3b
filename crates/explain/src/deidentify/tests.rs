//! What the rules take out, and what they leave.

use super::*;

#[test]
fn identifiers_are_replaced() {
    for (text, clean) in [
        ("Film of 03/04/2019.", "Film of [date]."),
        ("at 9:05 ambulatory", "at [time] ambulatory"),
        ("Compared to 2019-03-04T10:30:00.", "Compared to [date]."),
        (
            "On March 3, 2019 and 4th of Mai.",
            "On [date] and 4th of Mai.",
        ),
        ("on 12 march 2019, and Feb 2020", "on [date], and [date]"),
        ("Since 03/2018 stable.", "Since [date] stable."),
        ("at 10:30 p.m. or 22:15", "at [time] p.m. or [time]"),
        (
            "discussed with Dr. John A. Smith at 9:05 AM",
            "discussed with [name] at [time]",
        ),
        (
            "DISCUSSED WITH DR. SMITH ON THE PHONE",
            "DISCUSSED WITH [name] ON THE PHONE",
        ),
        ("per dr. jones", "per [name]"),
        ("Mrs. O'Neill was told", "[name] was told"),
        (
            "Electronically signed by Jane Roe, MD",
            "Electronically signed by [name], MD",
        ),
        (
            "Patient: Doe, Jane. Lungs clear.",
            "Patient: [name]. Lungs clear.",
        ),
        ("Ann Marie Lee, M.D.", "[name], M.D."),
        (
            "MRN: 12-34, accession number A77",
            "MRN: [number], accession number [number]",
        ),
        ("Study 12345678 done", "Study [number] done"),
        ("Code AB1234 there", "Code [number] there"),
        (
            "call (555) 123-4567 or 555-123-4567",
            "call [phone] or [phone]",
        ),
        ("+49 89 1234567 rings", "[phone] rings"),
        ("jane.roe@example.org wrote", "[e-mail] wrote"),
        ("see https://pacs.example.org/1?id=2.", "see [address]."),
        (
            "A 93-year-old and a 95 year old man",
            "A [age]-year-old and a [age] year old man",
        ),
        ("seen at St. Mary Hospital today", "seen at [place] today"),
        ("sent to Rush Medical Center", "sent to [place]"),
        ("lives at 12 Elm Street", "lives at [place]"),
        (
            "Study\u{a0}12345678, \u{201c}03/04/2019\u{201d}",
            "Study\u{a0}[number], \u{201c}[date]\u{201d}",
        ),
        ("call\u{a0}555-1234", "call\u{a0}[phone]"),
        (
            "Dr.Smith; lungs clear.Dr. Jones",
            "[name]; lungs clear.[name]",
        ),
        ("Dr. S.K. Gupta, Dr. van der Berg", "[name], [name]"),
        ("signed by de la Cruz", "signed by [name]"),
        ("Patient: DOE^JANE", "Patient: [name]"),
        ("per mr. jones", "per [name]"),
        (
            "Compared to film from 3/14 and on 3-Mar-19",
            "Compared to film from [date] and on [date]",
        ),
        (
            "A 93M, aged 94, Age: 95",
            "A [age]M, aged [age], Age: [age]",
        ),
        ("pager 4711, ext. 4712", "pager [number], ext. [number]"),
    ] {
        assert_eq!(deidentified(text), clean, "{text}");
    }
}

#[test]
fn what_a_report_says_of_the_chest_stays() {
    for text in [
        "No focal consolidation, effusion or pneumothorax.",
        "A 5 mm nodule, 1.2 x 3.4 cm, at T12-L1 and ribs 4-5-6.",
        "A 67-year-old with cough for 3 days. This may 5 times recur.",
        "ET tube 3.5 cm above the carina; 10 of 10 (tube 10, chest 3).",
        "Patient: status post CABG. Attending to detail.",
        "The patient is rotated. Doctor was not told. Bed is clear.",
        "Compared with the film of 2018. C4-C5-C6 fusion, 50 %.",
        "[date] [number] [name]",
        "Müller-Hermelink grade 2; 12 ribs; 1, 2, 3, 4, 5, 6, 7.",
    ] {
        assert_eq!(deidentified(text), text);
    }
}

#[test]
fn a_passage_keeps_its_activations() {
    let tokens = [
        "Seen", " by", " Dr", ".", " Jo", "nes", " on", " 03", "/04/", "2019", ".",
    ];
    let passage = Passage {
        tokens: tokens.map(str::to_owned).to_vec(),
        activations: vec![0.0, 1.0, 0.0, 0.0, 3.0, 2.0, 0.5, 0.0, 0.0, 1.0, 0.0],
        strongest: 3.0,
    };
    let clean = passage.deidentified();
    assert_eq!(
        clean.tokens,
        ["Seen", " by", " [name]", " on", " [date]", "."]
    );
    assert_eq!(clean.activations, [0.0, 1.0, 3.0, 0.5, 1.0, 0.0]);
    assert_eq!(clean.levels(3.0, 1), [("[name]".to_owned(), 10)]);
    let film = Passage {
        tokens: vec!["Edema. Seen 3/4/19.".to_owned()],
        activations: Vec::new(),
        strongest: 1.0,
    };
    assert_eq!(film.deidentified().plain(), "Edema. Seen [date].");
}
