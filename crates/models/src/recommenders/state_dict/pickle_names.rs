//! What the Python names in a pickle stand for. No name is ever looked up or called.

use candle_core::DType;

/// What a call in a pickle is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callable {
    /// An empty dictionary, filled later.
    Dictionary,
    /// A view of a storage.
    Tensor,
    /// Hands on the tensor it is given.
    Parameter,
    /// Something whose content stays unread, but for the state it is given.
    Object,
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

/// What a call of `name` is taken for; `None` for what no checkpoint has.
pub(super) fn callable(name: &str) -> Option<Callable> {
    let package = name.split('.').next().unwrap_or_default();
    match name {
        "collections.OrderedDict" | "collections.defaultdict" | "builtins.dict" => {
            Some(Callable::Dictionary)
        }
        "torch._utils._rebuild_tensor_v2" => Some(Callable::Tensor),
        "torch._utils._rebuild_parameter" => Some(Callable::Parameter),
        _ if NAMES.contains(&name) || PACKAGES.contains(&package) => Some(Callable::Object),
        _ => None,
    }
}

/// Type of the elements of a storage class; `None` for one that no weight has.
pub(super) fn element(class: &str) -> Option<DType> {
    match class {
        "torch.DoubleStorage" => Some(DType::F64),
        "torch.FloatStorage" => Some(DType::F32),
        "torch.HalfStorage" => Some(DType::F16),
        "torch.BFloat16Storage" => Some(DType::BF16),
        "torch.LongStorage" => Some(DType::I64),
        "torch.ByteStorage" => Some(DType::U8),
        _ => None,
    }
}
