//! Views of stored elements: whether one stays in its storage, and its elements in order.

use crate::value::TensorRef;

impl TensorRef {
    /// How many elements it has.
    ///
    /// # Errors
    /// A sentence if some lie outside the storage, or if it reads elements more than once on
    /// average, which would cost memory that the file does not have.
    pub fn n_elements(&self) -> Result<u64, String> {
        let available = self.storage.n_elements;
        let outside = || {
            format!(
                "its shape {:?} with strides {:?} from {} reaches outside the {available} stored \
                 elements",
                self.shape, self.strides, self.offset
            )
        };
        if available > u64::MAX / 16 {
            return Err(outside());
        }
        let mut n = 1_u64;
        let mut last = self.offset;
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            n = n
                .checked_mul(size)
                .filter(|&n| n <= available)
                .ok_or_else(outside)?;
            last = size
                .saturating_sub(1)
                .checked_mul(stride)
                .and_then(|reach| last.checked_add(reach))
                .ok_or_else(outside)?;
        }
        if n > 0 && last >= available {
            return Err(outside());
        }
        Ok(n)
    }

    /// Its elements of `width` bytes in row-major order.
    ///
    /// # Errors
    /// As of [`n_elements`](Self::n_elements).
    pub(crate) fn gather(&self, storage: Vec<u8>, width: usize) -> Result<Vec<u8>, String> {
        let n = self.n_elements()? as usize;
        if self.is_whole() {
            return Ok(storage);
        }
        let mut out = Vec::with_capacity(n * width);
        let mut index = vec![0; self.shape.len()];
        let mut place = self.offset as usize;
        for _ in 0..n {
            out.extend_from_slice(&storage[place * width..(place + 1) * width]);
            // The next index, last dimension first, as an odometer turns.
            for (at, (&size, &stride)) in self.shape.iter().zip(&self.strides).enumerate().rev() {
                index[at] += 1;
                if index[at] < size {
                    place += stride as usize;
                    break;
                }
                index[at] = 0;
                place -= ((size - 1) * stride) as usize;
            }
        }
        Ok(out)
    }

    /// Whether it is the whole storage in row-major order.
    fn is_whole(&self) -> bool {
        let mut n = 1_u64;
        let is_row_major = self
            .shape
            .iter()
            .zip(&self.strides)
            .rev()
            .all(|(&size, &stride)| {
                let is_next = size == 1 || stride == n;
                n = n.saturating_mul(size);
                is_next
            });
        is_row_major && self.offset == 0 && n == self.storage.n_elements
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ElementType, StorageRef};

    fn view(offset: u64, shape: &[u64], strides: &[u64], n_elements: u64) -> TensorRef {
        TensorRef {
            storage: StorageRef {
                element: Some(ElementType::U8),
                key: "0".to_owned(),
                n_elements,
            },
            offset,
            shape: shape.to_vec(),
            strides: strides.to_vec(),
        }
    }

    fn read(tensor: &TensorRef) -> Vec<u8> {
        let storage: Vec<u8> = (0..tensor.storage.n_elements as u8).collect();
        tensor.gather(storage, 1).unwrap()
    }

    #[test]
    fn strides_and_offsets_are_honoured() {
        // [2, 3] stored column by column, after one foreign element.
        let columns = read(&view(1, &[2, 3], &[1, 2], 7));
        assert_eq!(columns, [1, 3, 5, 2, 4, 6]);
        assert_eq!(
            read(&view(0, &[3, 1, 2], &[2, 7, 1], 7)),
            [0, 1, 2, 3, 4, 5]
        );
        assert_eq!(read(&view(4, &[], &[], 7)), [4]);
        assert!(read(&view(0, &[0, 3], &[3, 1], 0)).is_empty());
    }

    #[test]
    fn views_are_gathered_row_by_row() {
        assert_eq!(read(&view(0, &[2, 3], &[3, 1], 6)), [0, 1, 2, 3, 4, 5]);
        assert_eq!(read(&view(0, &[3, 2], &[1, 3], 6)), [0, 3, 1, 4, 2, 5]);
        assert_eq!(read(&view(4, &[], &[], 6)), [4]);
        let wide = view(2, &[2, 1], &[3, u64::MAX / 2], 6);
        assert_eq!(read(&wide), [2, 5]);
        // Elements of two bytes.
        let columns = view(0, &[2, 2], &[1, 2], 4);
        let storage = vec![0, 1, 2, 3, 4, 5, 6, 7];
        assert_eq!(
            columns.gather(storage, 2).unwrap(),
            [0, 1, 4, 5, 2, 3, 6, 7]
        );
    }

    #[test]
    fn views_that_leave_their_storage_are_refused() {
        for tensor in [
            view(2, &[2, 3], &[1, 2], 7),
            view(0, &[8], &[1], 7),
            // Repeats elements without end: costs memory that the file does not have.
            view(0, &[1 << 40], &[0], 7),
            view(0, &[u64::MAX, u64::MAX], &[1, 1], 7),
            view(0, &[u64::MAX, u64::MAX], &[0, 0], 7),
            view(0, &[2], &[u64::MAX], 7),
            view(u64::MAX, &[2], &[1], 7),
            view(1, &[2, 3], &[3, 1], 6),
            view(0, &[7], &[0], 6),
            view(0, &[1], &[1], 0),
        ] {
            let reason = tensor.n_elements().unwrap_err();
            assert!(reason.contains("outside"), "{tensor:?}: {reason}");
        }
    }
}
