//! The Python names that a pickle of tensors may use; every other name is refused.

/// Type of a storage's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ElementType {
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
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether the elements are real numbers.
    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }
}

/// What a harmless name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callable {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Size,
    Storage(ElementType),
    /// Stands for a device or a number type; calling it makes nothing.
    Inert,
}

impl Callable {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OrderedDict => "collections.OrderedDict",
            Self::RebuildTensor => "torch._utils._rebuild_tensor_v2",
            Self::RebuildParameter => "torch._utils._rebuild_parameter",
            Self::Size => "torch.Size",
            Self::Storage(_) => "a torch storage",
            Self::Inert => "a torch device or type",
        }
    }
}

/// What `module.name` stands for, if it is on the list.
pub(crate) fn callable(module: &str, name: &str) -> Option<Callable> {
    use ElementType as E;
    let found = match (module, name) {
        ("collections", "OrderedDict") => Callable::OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2") => Callable::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Callable::RebuildParameter,
        ("torch", "Size") => Callable::Size,
        ("torch", "DoubleStorage") => Callable::Storage(E::F64),
        ("torch", "FloatStorage") => Callable::Storage(E::F32),
        ("torch", "HalfStorage") => Callable::Storage(E::F16),
        ("torch", "BFloat16Storage") => Callable::Storage(E::Bf16),
        ("torch", "LongStorage") => Callable::Storage(E::I64),
        ("torch", "IntStorage") => Callable::Storage(E::I32),
        ("torch", "ShortStorage") => Callable::Storage(E::I16),
        ("torch", "CharStorage") => Callable::Storage(E::I8),
        ("torch", "ByteStorage") => Callable::Storage(E::U8),
        ("torch", "BoolStorage") => Callable::Storage(E::Bool),
        (
            "torch",
            "device" | "float32" | "float16" | "bfloat16" | "float64" | "int32" | "int64",
        ) => Callable::Inert,
        _ => return None,
    };
    Some(found)
}
