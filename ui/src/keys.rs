//! Every key of the window: what it does, where it works, what the user made of it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use egui::{Context, Event, Id, Key, Modifiers};

/// Where a key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// In every place.
    Everywhere,
    /// On a film, which the data, feature, review and steering places show.
    Film,
    /// On the feature page and in the review's queue.
    Label,
    /// In the review's queue alone.
    Queue,
    /// In the detection test.
    Detection,
}

impl Scope {
    /// All, in the order of the sheet.
    pub(crate) const ALL: [Self; 5] = [
        Self::Everywhere,
        Self::Label,
        Self::Queue,
        Self::Film,
        Self::Detection,
    ];

    /// As the sheet calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::Film => "Film",
            Self::Label => "Feature page and review",
            Self::Queue => "Review",
            Self::Detection => "Detection test",
        }
    }

    /// Whether both can be heard at once.
    fn meets(self, other: Self) -> bool {
        use Scope::{Detection, Everywhere, Film, Label, Queue};
        match (self, other) {
            (Label | Queue, Detection) | (Detection, Label | Queue) => false,
            (Everywhere | Film | Label | Queue | Detection, _) => true,
        }
    }
}

macro_rules! actions {
    ($($variant:ident: $id:literal, $scope:ident, $default:literal, $name:literal;)*) => {
        /// What a key can do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Action {
            $(
                #[doc = $name]
                $variant,
            )*
        }

        impl Action {
            /// All, in the order of the sheet.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its key in the settings.
            pub(crate) fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// What it does, as the sheet says it.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Where it works.
            pub(crate) fn scope(self) -> Scope {
                match self { $(Self::$variant => Scope::$scope,)* }
            }

            /// The key it has from the start.
            fn default_text(self) -> &'static str {
                match self { $(Self::$variant => $default,)* }
            }
        }
    };
}

actions! {
    Search: "search", Everywhere, "Ctrl+K", "Search features and commands";
    GoStart: "go-start", Everywhere, "Ctrl+1", "Go to Start";
    GoData: "go-data", Everywhere, "Ctrl+2", "Go to Data";
    GoModels: "go-models", Everywhere, "Ctrl+3", "Go to Models";
    GoTrain: "go-train", Everywhere, "Ctrl+4", "Go to Train";
    GoGallery: "go-gallery", Everywhere, "Ctrl+5", "Go to Gallery";
    GoFeature: "go-feature", Everywhere, "Ctrl+6", "Go to Feature";
    GoReview: "go-review", Everywhere, "Ctrl+7", "Go to Review";
    GoSteer: "go-steer", Everywhere, "Ctrl+8", "Go to Steer";
    GoEvaluate: "go-evaluate", Everywhere, "Ctrl+9", "Go to Evaluate";
    GoSettings: "go-settings", Everywhere, "Ctrl+Comma", "Go to Settings";
    SideBySide: "side-by-side", Everywhere, "Ctrl+D", "Two dictionaries side by side";
    Theme: "theme", Everywhere, "Ctrl+T", "Dark or light";
    Alone: "alone", Everywhere, "F11", "Main panel alone, or all panels";
    Open: "open", Everywhere, "Ctrl+O", "Open a project";
    New: "new", Everywhere, "Ctrl+N", "New project";
    Undo: "undo", Everywhere, "Ctrl+Z", "Take the last decision or step back";
    Redo: "redo", Everywhere, "Ctrl+Shift+Z", "Restore what was taken back";
    HideHeatmap: "hide-heatmap", Everywhere, "H", "Hide heatmaps while held";
    ShowHeatmap: "show-heatmap", Everywhere, "Shift+H", "Show or hide heatmaps";
    Smooth: "smooth", Everywhere, "G", "Heatmap raw or smooth";
    Contours: "contours", Everywhere, "C", "Heatmap as contours";
    LessOpacity: "less-opacity", Everywhere, "[", "Fainter heatmap";
    MoreOpacity: "more-opacity", Everywhere, "]", "Stronger heatmap";
    Sheet: "sheet", Everywhere, "?", "Keys and words";
    Accept: "accept", Label, "A", "Accept the proposal";
    Edit: "edit", Label, "E", "Edit the label (Enter saves, Escape leaves)";
    Reject: "reject", Label, "X", "Reject the proposal";
    Unsure: "unsure", Label, "U", "Unsure";
    NextFeature: "next-feature", Label, "J", "Next feature";
    PreviousFeature: "previous-feature", Label, "K", "Previous feature";
    NextExample: "next-example", Label, "Right", "Next example";
    PreviousExample: "previous-example", Label, "Left", "Previous example";
    Skip: "skip", Queue, "S", "Skip: pass the feature by";
    Flag: "flag", Queue, "F", "Flag: somebody should look again";
    Blind: "blind", Queue, "B", "Blind: hide the proposal";
    Invert: "invert", Film, "I", "Invert";
    Fit: "fit", Film, "0", "Fit the film (Escape and double click too)";
    Lateral: "lateral", Film, "L", "Show or hide lateral films of the study";
    Prior: "prior", Film, "P", "Show or hide earlier films of the patient";
    NextFilm: "next-film", Film, "O", "Keys for the next film of the study";
    Preset1: "preset-1", Film, "Shift+1", "First window preset";
    Preset2: "preset-2", Film, "Shift+2", "Second window preset";
    Preset3: "preset-3", Film, "Shift+3", "Third window preset";
    Preset4: "preset-4", Film, "Shift+4", "Fourth window preset";
    Preset5: "preset-5", Film, "Shift+5", "Fifth window preset";
    Active: "active", Detection, "Y", "Active on this sample";
    NotActive: "not-active", Detection, "N", "Not active on this sample";
}

/// A key with what is held beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Shortcut {
    key: Key,
    command: bool,
    shift: bool,
    alt: bool,
}

impl Shortcut {
    /// What was pressed; `None` for keys that belong to the controls themselves.
    pub(crate) fn pressed(key: Key, modifiers: Modifiers) -> Option<Self> {
        let is_taken = matches!(
            key,
            Key::Escape | Key::Enter | Key::Tab | Key::Space | Key::ArrowUp | Key::ArrowDown
        );
        (!is_taken).then(|| Self {
            key,
            command: modifiers.command,
            shift: modifiers.shift && !is_symbol(key),
            alt: modifiers.alt,
        })
    }

    /// Whether Ctrl (on macOS the command key) is held beside it.
    pub(crate) fn has_command(self) -> bool {
        self.command
    }

    fn matches(self, key: Key, modifiers: Modifiers) -> bool {
        Self::pressed(key, modifiers) == Some(self)
    }
}

/// Whether a layout may need Shift to write it.
fn is_symbol(key: Key) -> bool {
    let name = key.symbol_or_name();
    name.chars().count() == 1
        && !name.chars().all(char::is_alphanumeric)
        && !matches!(
            key,
            Key::ArrowLeft | Key::ArrowRight | Key::ArrowUp | Key::ArrowDown
        )
}

impl fmt::Display for Shortcut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (held, name) in [
            (self.command, "Ctrl+"),
            (self.alt, "Alt+"),
            (self.shift, "Shift+"),
        ] {
            if held {
                f.write_str(name)?;
            }
        }
        match self.key {
            Key::ArrowLeft => f.write_str("Left"),
            Key::ArrowRight => f.write_str("Right"),
            Key::Comma => f.write_str("Comma"),
            key if is_symbol(key) => f.write_str(key.symbol_or_name()),
            key => f.write_str(key.name()),
        }
    }
}

impl FromStr for Shortcut {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut rest = text;
        let mut held = [false; 3];
        for (held, name) in held.iter_mut().zip(["Ctrl+", "Alt+", "Shift+"]) {
            if let Some(after) = rest.strip_prefix(name) {
                (*held, rest) = (true, after);
            }
        }
        let key = Key::from_name(rest).ok_or(())?;
        Ok(Self {
            key,
            command: held[0],
            alt: held[1],
            shift: held[2],
        })
    }
}

/// Which key does what.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyMap {
    /// `None` where the user left an action without a key.
    keys: BTreeMap<Action, Option<Shortcut>>,
}

impl Default for KeyMap {
    fn default() -> Self {
        let keys = Action::ALL.iter().map(|&action| (action, default(action)));
        Self {
            keys: keys.collect(),
        }
    }
}

/// The key an action has from the start.
pub(crate) fn default(action: Action) -> Option<Shortcut> {
    action.default_text().parse().ok()
}

impl KeyMap {
    /// The key of an action.
    pub(crate) fn of(&self, action: Action) -> Option<Shortcut> {
        self.keys.get(&action).copied().flatten()
    }

    /// The same as the user reads it; empty without a key.
    pub(crate) fn text(&self, action: Action) -> String {
        let key = self.of(action);
        key.map_or_else(String::new, |key| key.to_string())
    }

    /// Whether the action's key is not the one from the start.
    pub(crate) fn is_changed(&self, action: Action) -> bool {
        self.of(action) != default(action)
    }

    /// What else would hear this key where `action` does.
    pub(crate) fn conflict(&self, action: Action, key: Shortcut) -> Option<Action> {
        Action::ALL.iter().copied().find(|&other| {
            other != action && self.of(other) == Some(key) && other.scope().meets(action.scope())
        })
    }

    /// Gives an action a key, or none.
    ///
    /// # Errors
    /// The action that has the key already; nothing is changed then.
    pub(crate) fn set(&mut self, action: Action, key: Option<Shortcut>) -> Result<(), Action> {
        if let Some(other) = key.and_then(|key| self.conflict(action, key)) {
            return Err(other);
        }
        self.keys.insert(action, key);
        Ok(())
    }

    /// Gives an action the key it had from the start.
    ///
    /// # Errors
    /// The action that has the key now.
    pub(crate) fn reset(&mut self, action: Action) -> Result<(), Action> {
        self.set(action, default(action))
    }

    /// What differs from the start, by id; empty text for no key.
    pub(crate) fn changes(&self) -> BTreeMap<String, String> {
        let changed = Action::ALL
            .iter()
            .filter(|&&action| self.is_changed(action));
        changed
            .map(|&action| (action.id().to_owned(), self.text(action)))
            .collect()
    }

    /// The keys from the start with these changes; what cannot be read, or would be heard by two,
    /// is as it was.
    pub(crate) fn with_changes(changes: &BTreeMap<String, String>) -> Self {
        let mut map = Self::default();
        let wanted: Vec<(Action, Option<Shortcut>)> = Action::ALL
            .iter()
            .filter_map(|&action| {
                let text = changes.get(action.id())?;
                let key = match text.as_str() {
                    "" => None,
                    text => Some(text.parse().ok()?),
                };
                Some((action, key))
            })
            .collect();
        // First all that are changed give up theirs, so that two may swap.
        for (action, _) in &wanted {
            map.keys.insert(*action, None);
        }
        for (action, key) in wanted {
            if map.set(action, key).is_err() {
                map.reset(action).ok();
            }
        }
        map
    }
}

fn id() -> Id {
    Id::unique("keys of the window")
}

/// Makes these the keys of the window.
pub(crate) fn install(ctx: &Context, map: &KeyMap) {
    ctx.data_mut(|data| data.insert_temp(id(), Arc::new(map.clone())));
}

/// The keys of the window.
pub(crate) fn of(ctx: &Context) -> Arc<KeyMap> {
    ctx.data_mut(|data| Arc::clone(data.get_temp_mut_or_default(id())))
}

/// Whether places lie behind a dialog, which has the keys to itself.
pub(crate) fn is_behind(ctx: &Context) -> bool {
    ctx.memory(|memory| memory.top_modal_layer().is_some())
}

/// Whether the action's key was pressed; nothing else hears it then.
pub(crate) fn fired(ctx: &Context, action: Action) -> bool {
    let is_press = |event: &Event| matches!(event, Event::Key { pressed: true, .. });
    // Most frames have no key: they cost one look.
    if !ctx.input(|input| input.events.iter().any(is_press)) {
        return false;
    }
    let Some(wanted) = of(ctx).of(action) else {
        return false;
    };
    ctx.input_mut(|input| {
        let before = input.events.len();
        input.events.retain(|event| match event {
            Event::Key {
                key,
                modifiers,
                pressed: true,
                ..
            } => !wanted.matches(*key, *modifiers),
            _ => true,
        });
        input.events.len() < before
    })
}

/// Whether the action's key is held down, whatever is held beside it.
pub(crate) fn is_held(ctx: &Context, action: Action) -> bool {
    of(ctx)
        .of(action)
        .is_some_and(|wanted| ctx.input(|input| input.key_down(wanted.key)))
}

/// A word with the action's key behind it, for a button.
pub(crate) fn labelled(ctx: &Context, word: &str, action: Action) -> String {
    match of(ctx).text(action) {
        key if key.is_empty() => word.to_owned(),
        key => format!("{word}  {key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_can_be_read_and_no_two_are_heard_at_once() {
        let map = KeyMap::default();
        for &action in Action::ALL {
            let key = map.of(action);
            assert!(key.is_some(), "{}", action.id());
            let text = map.text(action);
            assert_eq!(text.parse().ok(), key, "{text}");
            if let Some(key) = key {
                assert_eq!(map.conflict(action, key), None, "{text}");
            }
        }
    }

    #[test]
    fn a_key_in_use_is_refused_with_who_has_it() {
        let mut map = KeyMap::default();
        let x: Shortcut = "X".parse().unwrap();
        assert_eq!(map.set(Action::Accept, Some(x)), Err(Action::Reject));
        assert_eq!(map.text(Action::Accept), "A");
        // The detection test and the queue are never on the screen together.
        let y: Shortcut = "Y".parse().unwrap();
        assert_eq!(map.set(Action::Skip, Some(y)), Ok(()));
        assert_eq!(map.set(Action::Invert, Some(y)), Err(Action::Skip));
        map.set(Action::Invert, Some("Q".parse().unwrap())).unwrap();
        assert_eq!(map.changes().len(), 2);
    }

    #[test]
    fn changes_are_kept_swaps_included_and_nonsense_is_dropped() {
        let mut map = KeyMap::default();
        map.set(Action::Accept, None).unwrap();
        map.set(Action::Reject, Some("A".parse().unwrap())).unwrap();
        map.set(Action::Accept, Some("X".parse().unwrap())).unwrap();
        map.set(Action::Fit, None).unwrap();
        assert_eq!(KeyMap::with_changes(&map.changes()), map);
        let changes = [
            ("accept".to_owned(), "Nonsense".to_owned()),
            ("unsure".to_owned(), "E".to_owned()),
            ("gone".to_owned(), "Q".to_owned()),
        ];
        let kept = KeyMap::with_changes(&changes.into_iter().collect());
        assert_eq!(kept, KeyMap::default());
    }

    #[test]
    fn shift_counts_for_letters_and_not_for_symbols() {
        let press = |key, modifiers| Shortcut::pressed(key, modifiers).map(|key| key.to_string());
        assert_eq!(
            press(Key::Z, Modifiers::COMMAND | Modifiers::SHIFT).as_deref(),
            Some("Ctrl+Shift+Z")
        );
        assert_eq!(
            press(Key::Questionmark, Modifiers::SHIFT).as_deref(),
            Some("?")
        );
        assert_eq!(
            press(Key::Num1, Modifiers::SHIFT).as_deref(),
            Some("Shift+1")
        );
        assert_eq!(press(Key::Enter, Modifiers::NONE), None);
    }
}
