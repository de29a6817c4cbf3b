//! The Python names that a pickle may use, and what each stands for.

/// Type of a storage's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ElementType {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl ElementType {
    /// Bytes of one element.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether the elements are real numbers.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    /// Type of the elements of a storage class; `None` for one that is not read.
    pub(crate) fn of_class(name: &str) -> Option<Self> {
        Some(match name {
            "torch.DoubleStorage" => Self::F64,
            "torch.FloatStorage" => Self::F32,
            "torch.HalfStorage" => Self::F16,
            "torch.BFloat16Storage" => Self::Bf16,
            "torch.LongStorage" => Self::I64,
            "torch.IntStorage" => Self::I32,
            "torch.ShortStorage" => Self::I16,
            "torch.CharStorage" => Self::I8,
            "torch.ByteStorage" => Self::U8,
            "torch.BoolStorage" => Self::Bool,
            _ => return None,
        })
    }
}

/// Which names are harmless in a file. Whichever it is, no name is ever looked up or called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Those of tensors alone; any other ends the reading where it is named.
    Tensors,
    /// Those of a checkpoint with settings beside the tensors: objects of known packages are kept
    /// without content, but for their state. A call of any other name ends the reading.
    Checkpoint,
}

/// What a call is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callable {
    /// An empty dictionary, made without arguments and filled later.
    EmptyDictionary,
    /// The same, whatever the arguments.
    Dictionary,
    /// A view of a storage.
    Tensor,
    /// Hands on the first of what it is given.
    First,
    /// Hands on the one thing it is given.
    Only,
    /// A device or a number type: nothing.
    Inert,
    /// Something whose content stays unread, but for the state it is given.
    Object,
    /// A class of storages, named and never called.
    Storage,
}

/// Packages whose objects stand in checkpoints: settings, enumerations, devices, numbers.
const PACKAGES: [&str; 8] = [
    "recbole", "torch", "numpy", "yaml", "enum", "datetime", "pathlib", "decimal",
];

/// Single names of packages that have others too. `getattr` stands for a member of an enumeration
/// in the pickles of Python 3.11.
const NAMES: [&str; 13] = [
    "builtins.set",
    "builtins.frozenset",
    "builtins.list",
    "builtins.tuple",
    "builtins.bytearray",
    "builtins.complex",
    "builtins.range",
    "builtins.slice",
    "builtins.getattr",
    "collections.Counter",
    "collections.deque",
    "copyreg._reconstructor",
    "_codecs.encode",
];

impl Names {
    /// What a call of `name` is taken for; `None` for a name that is not harmless.
    pub(crate) fn callable(self, name: &str) -> Option<Callable> {
        match (self, name) {
            (_, "torch._utils._rebuild_tensor_v2") => Some(Callable::Tensor),
            (_, "torch._utils._rebuild_parameter") => Some(Callable::First),
            (Self::Tensors, _) => of_tensors(name),
            (Self::Checkpoint, _) => of_checkpoint(name),
        }
    }

    /// Arguments of a call at most; `_rebuild_tensor_v2` has seven.
    pub(crate) fn max_arguments(self) -> usize {
        match self {
            Self::Tensors => 16,
            Self::Checkpoint => 64,
        }
    }

    /// Bytes of a pickle at most: one of tensors has under a kilobyte, a checkpoint's a few.
    pub(crate) fn max_pickle(self) -> u64 {
        match self {
            Self::Tensors => 16 << 20,
            Self::Checkpoint => 4 << 20,
        }
    }

    /// What a file with these names is.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Tensors => "file of tensors",
            Self::Checkpoint => "checkpoint",
        }
    }
}

fn of_tensors(name: &str) -> Option<Callable> {
    match name {
        "collections.OrderedDict" => Some(Callable::EmptyDictionary),
        "torch.Size" => Some(Callable::Only),
        "torch.device" | "torch.float32" | "torch.float16" | "torch.bfloat16" | "torch.float64"
        | "torch.int32" | "torch.int64" => Some(Callable::Inert),
        _ => ElementType::of_class(name).map(|_| Callable::Storage),
    }
}

fn of_checkpoint(name: &str) -> Option<Callable> {
    let package = name.split('.').next().unwrap_or_default();
    match name {
        "collections.OrderedDict" | "collections.defaultdict" | "builtins.dict" => {
            Some(Callable::Dictionary)
        }
        _ if NAMES.contains(&name) || PACKAGES.contains(&package) => Some(Callable::Object),
        _ => None,
    }
}
