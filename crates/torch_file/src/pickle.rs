//! Reads the pickle of a torch file as data: a few opcodes, names that stay words, no calls.
//!
//! A pickle is a program for a stack machine that may name and call any Python function. Here a
//! name is a word that is never looked up, and what a call would make is a container, a tensor or
//! an object without content. A name that is not harmless ends the reading. Values live in one
//! flat list and refer to each other by number, so neither nesting nor sharing can exhaust the
//! stack or the memory.

use crate::names::{Callable, ElementType, Names};
use crate::value::{Pickle, StorageRef, TensorRef, Value, ValueId, printable};

/// Dimensions of a tensor at most.
const MAX_DIMENSIONS: usize = 8;
/// Bytes of a storage's name at most.
const MAX_KEY: usize = 64;
/// Bytes of a Python name at most.
const MAX_NAME: usize = 256;

/// Why a pickle is refused, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickleFault {
    /// Its offset.
    pub at: usize,
    /// A sentence.
    pub reason: String,
}

/// Reads a whole pickle, running nothing.
///
/// # Errors
/// The first byte at which it is damaged, names what is not harmless or holds what stands in no
/// such file.
pub fn read(bytes: &[u8], names: Names) -> Result<Pickle, PickleFault> {
    let mut machine = Machine {
        bytes,
        names,
        at: 0,
        opcode_at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
    };
    while !machine.step()? {}
    let root = machine.pop()?;
    Ok(Pickle {
        values: machine.values,
        root,
    })
}

struct Machine<'a> {
    bytes: &'a [u8],
    names: Names,
    at: usize,
    opcode_at: usize,
    values: Vec<Value>,
    stack: Vec<ValueId>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: Vec<Option<ValueId>>,
}

type Step<T> = Result<T, PickleFault>;

impl Machine<'_> {
    fn fault<T>(&self, reason: impl Into<String>) -> Step<T> {
        Err(PickleFault {
            at: self.opcode_at,
            reason: reason.into(),
        })
    }

    /// One opcode; true at the end of the pickle.
    fn step(&mut self) -> Step<bool> {
        self.opcode_at = self.at;
        let [opcode] = self.array::<1>()?;
        match opcode {
            // PROTO, FRAME: nothing to build.
            0x80 => drop(self.array::<1>()?),
            0x95 => drop(self.array::<8>()?),
            b'.' => return Ok(true),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'c' | 0x93 => self.name(opcode)?,
            b'Q' => self.persistent_storage()?,
            b'R' | 0x81 => self.call()?,
            0x92 if self.names == Names::Checkpoint => {
                // Arguments by name.
                self.pop()?;
                self.call()?;
            }
            b'b' => self.build()?,
            b'}' | b']' | 0x8f | b')' | b'l' | b'd' | b't' | 0x91 | 0x85..=0x87 => {
                self.container(opcode)?;
            }
            b'a' | b'e' | 0x90 | b's' | b'u' => self.fill(opcode)?,
            b'q' | b'r' | 0x94 | b'h' | b'j' | b'p' | b'g' => self.memory(opcode)?,
            _ => self.scalar(opcode)?,
        }
        Ok(false)
    }

    fn scalar(&mut self, opcode: u8) -> Step<()> {
        let value = match opcode {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Integer(i64::from(i32::from_le_bytes(self.array()?))),
            b'K' => Value::Integer(i64::from(self.array::<1>()?[0])),
            b'M' => Value::Integer(i64::from(u16::from_le_bytes(self.array()?))),
            0x8a => self.long()?,
            b'G' => Value::Float(f64::from_be_bytes(self.array()?)),
            b'X' => {
                let n = u32::from_le_bytes(self.array()?) as usize;
                self.text(n)?
            }
            0x8c => {
                let n = usize::from(self.array::<1>()?[0]);
                self.text(n)?
            }
            b'U' | b'C' | b'B' | b'T' => return self.bytes(opcode),
            _ => return self.unknown(opcode),
        };
        self.push(value);
        Ok(())
    }

    /// The texts of Python 2 and bytes, which only checkpoints have and nothing reads.
    fn bytes(&mut self, opcode: u8) -> Step<()> {
        if self.names == Names::Tensors && opcode != b'U' {
            return self.unknown(opcode);
        }
        let n = match opcode {
            b'B' | b'T' => u32::from_le_bytes(self.array()?) as usize,
            _ => usize::from(self.array::<1>()?[0]),
        };
        let value = match self.names {
            Names::Tensors => self.text(n)?,
            Names::Checkpoint => {
                self.take(n)?;
                Value::Other
            }
        };
        self.push(value);
        Ok(())
    }

    fn unknown<T>(&self, opcode: u8) -> Step<T> {
        let file = self.names.file();
        self.fault(format!(
            "the pickle opcode 0x{opcode:02x} stands in no {file}"
        ))
    }

    /// LONG1: a little-endian integer of up to 255 bytes; those past 64 bits are never sizes.
    fn long(&mut self) -> Step<Value> {
        let n = usize::from(self.array::<1>()?[0]);
        let bytes = self.take(n)?;
        if n > 8 {
            return Ok(Value::Other);
        }
        let is_negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut whole = [if is_negative { 0xff } else { 0 }; 8];
        whole[..n].copy_from_slice(bytes);
        Ok(Value::Integer(i64::from_le_bytes(whole)))
    }

    fn text(&mut self, n: usize) -> Step<Value> {
        let bytes = self.take(n)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::Text(text.to_owned())),
            Err(error) => self.fault(format!("a text is not UTF-8 ({error})")),
        }
    }

    /// Makes a container.
    fn container(&mut self, opcode: u8) -> Step<()> {
        let value = match opcode {
            b'}' => Value::Dictionary(Vec::new()),
            b']' | 0x8f | b')' => Value::Sequence(Vec::new()),
            b'd' => {
                let items = self.pop_to_mark()?;
                Value::Dictionary(self.pairs(&items)?)
            }
            0x85..=0x87 => {
                let n = usize::from(opcode - 0x84);
                let Some(from) = self.stack.len().checked_sub(n) else {
                    return self.fault("the pickle takes more from its stack than is there");
                };
                Value::Sequence(self.stack.split_off(from))
            }
            _ => Value::Sequence(self.pop_to_mark()?),
        };
        self.push(value);
        Ok(())
    }

    /// Puts values into the container, or the object made like one, on top of the stack.
    fn fill(&mut self, opcode: u8) -> Step<()> {
        let items = match opcode {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_to_mark()?,
        };
        let target = self.top()?;
        if matches!(opcode, b's' | b'u') {
            let pairs = self.pairs(&items)?;
            match &mut self.values[target] {
                Value::Dictionary(known) => known.extend(pairs),
                Value::Object(_) => {}
                _ => return self.fault("it sets items of something that is not a dictionary"),
            }
        } else {
            match &mut self.values[target] {
                Value::Sequence(known) => known.extend(items),
                Value::Object(_) => {}
                _ => return self.fault("it appends to something that is not a list"),
            }
        }
        Ok(())
    }

    fn memory(&mut self, opcode: u8) -> Step<()> {
        let index = match opcode {
            0x94 => self.memo.len(),
            b'q' | b'h' => usize::from(self.array::<1>()?[0]),
            b'r' | b'j' => u32::from_le_bytes(self.array()?) as usize,
            _ => match self.line()?.parse() {
                Ok(index) => index,
                Err(_) => return self.fault("a place in the pickle's memory is not a number"),
            },
        };
        if matches!(opcode, b'h' | b'j' | b'g') {
            let Some(&Some(id)) = self.memo.get(index) else {
                return self.fault(format!("the pickle recalls value {index}, never kept"));
            };
            self.stack.push(id);
            return Ok(());
        }
        // Places are handed out in order, at least a byte for each: a higher one is damage.
        if index >= self.bytes.len() {
            return self.fault(format!("the pickle keeps a value as number {index}"));
        }
        let top = self.top()?;
        if self.memo.len() <= index {
            self.memo.resize(index + 1, None);
        }
        self.memo[index] = Some(top);
        Ok(())
    }

    /// `GLOBAL` or `STACK_GLOBAL`: a Python name, kept as a word.
    fn name(&mut self, opcode: u8) -> Step<()> {
        let name = if opcode == b'c' {
            let module = self.line()?;
            format!("{module}.{}", self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (&self.values[module], &self.values[name]) {
                (Value::Text(module), Value::Text(name)) => format!("{module}.{name}"),
                _ => return self.fault("the pickle names a Python object by something not a text"),
            }
        };
        if self.names == Names::Tensors && self.names.callable(&name).is_none() {
            return self.fault(format!(
                "it asks for {}, which is no tensor and could run code; it was not run",
                printable(&name)
            ));
        }
        if name.len() > MAX_NAME {
            return self.fault(format!(
                "the name {} has {} bytes, expected {MAX_NAME} at most",
                printable(&name),
                name.len()
            ));
        }
        self.push(Value::Name(name));
        Ok(())
    }

    fn persistent_storage(&mut self) -> Step<()> {
        let id = self.pop()?;
        let storage = match &self.values[id] {
            Value::Sequence(items) => self.storage_of(items),
            _ => None,
        };
        match storage {
            Some(storage) => {
                self.push(Value::Storage(storage));
                Ok(())
            }
            None => self.fault("it refers to something outside that is not a tensor's storage"),
        }
    }

    /// `('storage', FloatStorage, key, device, n_elements)`.
    fn storage_of(&self, items: &[ValueId]) -> Option<StorageRef> {
        let &[tag, class, key, _, n] = items else {
            return None;
        };
        match (
            &self.values[tag],
            &self.values[class],
            &self.values[key],
            &self.values[n],
        ) {
            (Value::Text(tag), Value::Name(class), Value::Text(key), Value::Integer(n))
                if tag == "storage" && key.len() <= MAX_KEY =>
            {
                let element = ElementType::of_class(class);
                (element.is_some() || self.names == Names::Checkpoint).then_some(StorageRef {
                    element,
                    key: key.clone(),
                    n_elements: u64::try_from(*n).ok()?,
                })
            }
            _ => None,
        }
    }

    /// `REDUCE` and `NEWOBJ`: nothing is called.
    fn call(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Name(name) = &self.values[function] else {
            return self.fault("the pickle calls something that is not a function");
        };
        let Some(function) = self.names.callable(name) else {
            return self.fault(format!(
                "it asks to call {}, which no {} needs and which could run code; it was not run",
                printable(name),
                self.names.file()
            ));
        };
        let arguments = match &self.values[arguments] {
            Value::Sequence(arguments) if arguments.len() <= self.names.max_arguments() => {
                arguments.as_slice()
            }
            _ => return self.fault(format!("{} is called without a tuple", printable(name))),
        };
        let made = match (function, arguments) {
            (Callable::EmptyDictionary, []) | (Callable::Dictionary, _) => {
                Some(Value::Dictionary(Vec::new()))
            }
            (Callable::Tensor, given) => self.tensor_of(given).map(Value::Tensor),
            (Callable::Inert, _) => Some(Value::Other),
            (Callable::Object, _) => Some(Value::Object(None)),
            (Callable::Only, &[kept]) | (Callable::First, &[kept, ..]) => {
                self.stack.push(kept);
                return Ok(());
            }
            _ => None,
        };
        let Some(made) = made else {
            let name = printable(name);
            return self.fault(format!("{name} is called with arguments it does not take"));
        };
        self.push(made);
        Ok(())
    }

    /// `(storage, offset, shape, strides, …)`.
    fn tensor_of(&self, arguments: &[ValueId]) -> Option<TensorRef> {
        let &[storage, offset, shape, strides, ..] = arguments else {
            return None;
        };
        let Value::Storage(storage) = &self.values[storage] else {
            return None;
        };
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        (shape.len() == strides.len()).then_some(TensorRef {
            storage: storage.clone(),
            offset: self.size(offset)?,
            shape,
            strides,
        })
    }

    fn sizes(&self, id: ValueId) -> Option<Vec<u64>> {
        match &self.values[id] {
            Value::Sequence(items) if items.len() <= MAX_DIMENSIONS => {
                items.iter().map(|&item| self.size(item)).collect()
            }
            _ => None,
        }
    }

    fn size(&self, id: ValueId) -> Option<u64> {
        match self.values[id] {
            Value::Integer(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    /// `BUILD`: the attributes of an object; those of a dictionary or tensor mean nothing here, nor
    /// do those of what is inert.
    fn build(&mut self) -> Step<()> {
        let state = self.pop()?;
        let target = self.top()?;
        match &mut self.values[target] {
            Value::Object(known) => *known = Some(state),
            Value::Dictionary(_) | Value::Tensor(_) => {}
            Value::Other if self.names == Names::Tensors => {}
            _ => {
                return self
                    .fault("it sets the state of an object that is neither dictionary nor tensor");
            }
        }
        Ok(())
    }

    fn pairs(&self, items: &[ValueId]) -> Step<Vec<(ValueId, ValueId)>> {
        let (pairs, rest) = items.as_chunks::<2>();
        if rest.is_empty() {
            Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
        } else {
            self.fault("a dictionary has a key without a value")
        }
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Step<ValueId> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() > floor
            && let Some(id) = self.stack.pop()
        {
            return Ok(id);
        }
        self.fault("the pickle takes more from its stack than is there")
    }

    fn top(&self) -> Step<ValueId> {
        match self.stack.last() {
            Some(&id) => Ok(id),
            None => self.fault("the pickle takes more from its stack than is there"),
        }
    }

    fn pop_to_mark(&mut self) -> Step<Vec<ValueId>> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => self.fault("the pickle closes a group that was not opened"),
        }
    }

    fn take(&mut self, n: usize) -> Step<&[u8]> {
        let end = self
            .at
            .checked_add(n)
            .filter(|&end| end <= self.bytes.len());
        let Some(end) = end else {
            return self.fault("the pickle ends in the middle of a value");
        };
        let from = std::mem::replace(&mut self.at, end);
        Ok(&self.bytes[from..end])
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// Up to the next line feed, which is left out.
    fn line(&mut self) -> Step<String> {
        let rest = &self.bytes[self.at..];
        let Some(n) = rest.iter().position(|&byte| byte == b'\n') else {
            return self.fault("the pickle ends in the middle of a name");
        };
        let line = String::from_utf8_lossy(&rest[..n]).into_owned();
        self.at += n + 1;
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(bytes: &[u8]) -> PickleFault {
        read(bytes, Names::Tensors).unwrap_err()
    }

    #[test]
    fn plain_values_are_built() {
        // {'a': (1, -2, 3.5), 'b': [None, True]}
        let pickle = read(
            b"\x80\x02}(X\x01\x00\x00\x00aK\x01J\xfe\xff\xff\xffG\x40\x0c\x00\x00\x00\x00\x00\x00\
              \x87X\x01\x00\x00\x00b](N\x88eu.",
            Names::Tensors,
        )
        .unwrap();
        let Some(Value::Sequence(items)) = pickle.entry(pickle.root(), "a") else {
            panic!("{:?}", pickle.root());
        };
        let items: Vec<&Value> = items.iter().map(|&id| pickle.value(id)).collect();
        assert_eq!(
            items,
            [&Value::Integer(1), &Value::Integer(-2), &Value::Float(3.5)]
        );
        assert_eq!(pickle.entry(pickle.root(), "c"), None);
    }

    #[test]
    fn code_is_named_with_its_place_and_not_run() {
        let fault = reason(b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.");
        assert_eq!(fault.at, 2);
        assert!(fault.reason.contains("posix.system"), "{}", fault.reason);
        // The same by STACK_GLOBAL.
        let fault = reason(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.");
        assert_eq!(fault.at, 18);
        assert!(fault.reason.contains("builtins.eval"), "{}", fault.reason);
    }

    #[test]
    fn an_object_keeps_its_state_and_is_never_made() {
        // {'config': Config() with the state {'n_heads': 2}}, protocol 4.
        let pickle = read(
            b"\x80\x04}\x8c\x06config\x8c\x1brecbole.config.configurator\x8c\x06Config\x93)\x81\
              }\x8c\x07n_headsK\x02sbs.",
            Names::Checkpoint,
        )
        .unwrap();
        let config = pickle.entry(pickle.root(), "config").unwrap();
        assert_eq!(pickle.entry(config, "n_heads"), Some(&Value::Integer(2)));
        assert_eq!(pickle.entry(config, "n_layers"), None);
    }

    #[test]
    fn a_call_of_anything_else_is_named_with_its_place_and_not_run() {
        let fault = read(
            b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.",
            Names::Checkpoint,
        )
        .unwrap_err();
        assert_eq!(fault.at, 26);
        assert!(fault.reason.contains("posix.system"), "{}", fault.reason);
        // The same by STACK_GLOBAL.
        let fault = read(
            b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
            Names::Checkpoint,
        )
        .unwrap_err();
        assert!(fault.reason.contains("builtins.eval"), "{}", fault.reason);
    }

    #[test]
    fn damage_never_panics() {
        let good: &[u8] = b"\x80\x02}q\x00(X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n\
            ((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu\
            K\x01tQK\x00))\x89ccollections\nOrderedDict\n)RtRu.";
        for names in [Names::Tensors, Names::Checkpoint] {
            damage(good, names);
        }
        assert!(reason(b"\x80\x02q\x00.").reason.contains("stack"));
        assert!(
            reason(b"\x80\x02Nr\xff\xff\xff\xff.")
                .reason
                .contains("keeps")
        );
        assert!(
            reason(b"\x80\x02X\xff\xff\xff\xffa.")
                .reason
                .contains("middle")
        );
    }

    fn damage(good: &[u8], names: Names) {
        let pickle = read(good, names).unwrap();
        assert!(matches!(
            pickle.entry(pickle.root(), "a"),
            Some(Value::Tensor(_))
        ));
        for n in 0..good.len() {
            assert!(read(&good[..n], names).is_err(), "cut at {n}");
        }
        // Every byte changed to every value: an answer or a sentence, never a panic.
        for at in 0..good.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = good.to_vec();
                bytes[at] = byte;
                drop(read(&bytes, names));
            }
        }
    }
}
