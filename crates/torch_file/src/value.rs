//! What a pickle builds. Values live in one flat list and refer to each other by number.

use crate::names::ElementType;

/// Number of a value among those of a [`Pickle`].
pub type ValueId = usize;

/// What a pickle builds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Python's `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer of up to 64 bits.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// A text.
    Text(String),
    /// Tuple, list or set.
    Sequence(Vec<ValueId>),
    /// Keys and values in order.
    Dictionary(Vec<(ValueId, ValueId)>),
    /// A Python name, never looked up.
    Name(String),
    /// What a call would have made, and the state it was given, if any.
    Object(Option<ValueId>),
    /// Stored elements.
    Storage(StorageRef),
    /// A view of stored elements.
    Tensor(TensorRef),
    /// Something harmless whose content is not kept: bytes, a device, a number beyond 64 bits.
    Other,
}

/// Which entry of the archive holds the elements of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageRef {
    /// Type of the elements; `None` for one that is not read.
    pub element: Option<ElementType>,
    /// Name of the entry, below `data/`.
    pub key: String,
    /// How many elements the entry holds.
    pub n_elements: u64,
}

/// A view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorRef {
    /// What it views.
    pub storage: StorageRef,
    /// Elements before the first one.
    pub offset: u64,
    /// Size of each dimension.
    pub shape: Vec<u64>,
    /// Elements between neighbours along each dimension.
    pub strides: Vec<u64>,
}

/// A pickle's values and which one is the result.
#[derive(Debug)]
pub struct Pickle {
    pub(crate) values: Vec<Value>,
    pub(crate) root: ValueId,
}

impl Pickle {
    /// The result.
    #[must_use]
    pub fn root(&self) -> &Value {
        self.value(self.root)
    }

    /// The value of that number.
    #[must_use]
    pub fn value(&self, id: ValueId) -> &Value {
        self.values.get(id).unwrap_or(&Value::Other)
    }

    /// Text keys and values of a dictionary, or of an object whose state is one, in order; none of
    /// anything else.
    pub fn entries<'a>(
        &'a self,
        value: &'a Value,
    ) -> impl DoubleEndedIterator<Item = (&'a str, &'a Value)> {
        let value = match value {
            Value::Object(Some(state)) => self.value(*state),
            value => value,
        };
        let pairs = match value {
            Value::Dictionary(pairs) => pairs.as_slice(),
            _ => &[],
        };
        pairs
            .iter()
            .filter_map(move |&(key, of)| match self.value(key) {
                Value::Text(key) => Some((key.as_str(), self.value(of))),
                _ => None,
            })
    }

    /// The value under a text key, the last one if it was set more than once.
    #[must_use]
    pub fn entry<'a>(&'a self, value: &'a Value, key: &str) -> Option<&'a Value> {
        let found = self.entries(value).rev().find(|(name, _)| *name == key);
        found.map(|(_, value)| value)
    }
}

/// A name from a file, fit for one sentence: of 80 characters at most, none of them control
/// characters.
#[must_use]
pub fn printable(name: &str) -> String {
    const LONGEST: usize = 80;
    let mut out: String = name
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    if name.chars().count() > LONGEST {
        out.push('…');
    }
    out
}
