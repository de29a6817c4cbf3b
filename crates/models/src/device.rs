//! Where a large model computes: which device was asked for, which can be used, and why.

use std::panic::catch_unwind;

use candle_core::{DType, Device, Tensor};

use crate::ModelError;
use crate::weights::Coding;

/// What a user may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// An NVIDIA card, else an Apple card, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA card or an error.
    Cuda,
    /// An Apple card or an error.
    Metal,
}

/// The device that was chosen.
#[derive(Debug, Clone)]
pub struct ChosenDevice {
    /// Where large models compute.
    pub device: Device,
    /// Number type computed with: f32 on the CPU; on a card that of the matrices, unless another is
    /// asked for.
    pub dtype: DType,
    /// Why this device, in one sentence.
    pub reason: String,
    /// What was asked for.
    pub choice: DeviceChoice,
}

/// Cards of one make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Card {
    Cuda,
    Metal,
}

impl Card {
    /// In the order in which they are tried.
    const ALL: [Self; 2] = [Self::Cuda, Self::Metal];

    fn name(self) -> &'static str {
        match self {
            Self::Cuda => "CUDA",
            Self::Metal => "Metal",
        }
    }

    fn is_built(self) -> bool {
        match self {
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Metal => cfg!(feature = "metal"),
        }
    }

    /// Opens the first card and lets it compute once.
    ///
    /// # Errors
    /// Why it cannot be used, to stand after a colon.
    fn open(self) -> Result<Device, String> {
        if !self.is_built() {
            return Err(format!("this build is without {}", self.name()));
        }
        // Libraries that load a driver while the program runs panic where it is missing.
        let opened = catch_unwind(|| {
            let device = match self {
                // One stream for all threads: what one writes, another reads in order.
                Self::Cuda => Device::new_cuda_with_stream(0)?,
                Self::Metal => Device::new_metal(0)?,
            };
            check(&device)?;
            Ok(device)
        });
        match opened {
            Ok(Ok(device)) => Ok(device),
            Ok(Err(error)) => Err(in_words(&error)),
            Err(_) => Err("its driver's library cannot be loaded".to_owned()),
        }
    }
}

/// Computes something small, so that kernels the driver cannot run are found here and not in the
/// middle of a pass.
fn check(device: &Device) -> candle_core::Result<()> {
    let ones = Tensor::ones((4, 4), DType::F32, device)?;
    let product = ones.matmul(&ones)?.affine(2.0, 1.0)?;
    let sum = product.sum_all()?.to_scalar::<f32>()?;
    if sum != 144.0 {
        candle_core::bail!("a test product gave {sum} in place of 144");
    }
    Ok(())
}

/// The first line of what a driver says, the usual cases in plain words.
fn in_words(error: &candle_core::Error) -> String {
    let whole = error.to_string();
    let line = whole.lines().next().unwrap_or("");
    let known = [
        ("CUDA_ERROR_NO_DEVICE", "no NVIDIA card was found"),
        (
            "CUDA_ERROR_STUB_LIBRARY",
            "the NVIDIA driver is not installed, only a stand-in for its library",
        ),
        (
            "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
            "the NVIDIA driver is older than the CUDA release of this build",
        ),
        (
            "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
            "the NVIDIA driver and its library are of different versions",
        ),
    ];
    known
        .iter()
        .find(|(code, _)| whole.contains(code))
        .map_or_else(|| line.to_owned(), |(_, words)| (*words).to_owned())
}

impl Default for ChosenDevice {
    fn default() -> Self {
        Self::cpu(DeviceChoice::Cpu, "no other was asked for".to_owned())
    }
}

impl ChosenDevice {
    /// Finds the device for a choice.
    ///
    /// # Errors
    /// [`ModelError::Request`] when the device that was asked for cannot be used; `Auto` never
    /// fails.
    pub fn find(choice: DeviceChoice) -> Result<Self, ModelError> {
        Self::find_with(choice, Card::open)
    }

    fn find_with(
        choice: DeviceChoice,
        open: impl Fn(Card) -> Result<Device, String>,
    ) -> Result<Self, ModelError> {
        let demanded = match choice {
            DeviceChoice::Cpu => return Ok(Self::cpu(choice, "it was asked for".to_owned())),
            DeviceChoice::Cuda => Some(Card::Cuda),
            DeviceChoice::Metal => Some(Card::Metal),
            DeviceChoice::Auto => None,
        };
        if let Some(card) = demanded {
            let name = card.name();
            let device = open(card)
                .map_err(|why| ModelError::Request(format!("{name} cannot be used: {why}")))?;
            return Ok(Self::on_card(device, choice, "it was asked for".to_owned()));
        }
        let mut failed = Vec::new();
        for card in Card::ALL {
            match open(card) {
                Ok(device) => {
                    let reason = format!("{} can be used", card.name());
                    return Ok(Self::on_card(device, choice, reason));
                }
                // A build says itself which cards it is made for; the others need no mention.
                Err(why) if card.is_built() => failed.push((card, why)),
                Err(_) => {}
            }
        }
        let reason = match failed.as_slice() {
            [] => "this build computes on the CPU only".to_owned(),
            failed => {
                let reasons: Vec<String> = failed
                    .iter()
                    .map(|(card, why)| format!("{} cannot be used: {why}", card.name()))
                    .collect();
                reasons.join("; ")
            }
        };
        Ok(Self::cpu(choice, reason))
    }

    fn cpu(choice: DeviceChoice, reason: String) -> Self {
        Self {
            device: Device::Cpu,
            dtype: DType::F32,
            reason,
            choice,
        }
    }

    fn on_card(device: Device, choice: DeviceChoice, reason: String) -> Self {
        Self {
            device,
            dtype: DType::BF16,
            reason,
            choice,
        }
    }

    /// Name of the device for the user.
    pub fn name(&self) -> &'static str {
        name_of(&self.device)
    }

    /// Number type of matrices there where no other is asked for; empty on the CPU, which reads
    /// them as they are stored.
    pub fn weights(&self) -> &'static str {
        match self.device {
            Device::Cpu => "",
            Device::Cuda(_) | Device::Metal(_) => self.dtype.as_str(),
        }
    }

    /// Where a model goes whose matrices are to be coded so, and the name of that device. Blocks of
    /// 8 and 4 bits are read on the CPU only: a card that nobody asked for is left aside for them.
    ///
    /// # Errors
    /// [`ModelError::Request`] when such blocks and a card were both asked for.
    pub fn for_coding(&self, coding: Option<Coding>) -> Result<(Device, &'static str), ModelError> {
        let device = match coding {
            Some(coding) if !self.device.is_cpu() && dtype_of(coding).is_none() => {
                if self.choice != DeviceChoice::Auto {
                    return Err(ModelError::Request(format!(
                        "weights of {} are kept on the CPU only: use --device cpu, or --weights \
                         f32, f16 or bf16",
                        coding.name()
                    )));
                }
                Device::Cpu
            }
            _ => self.device.clone(),
        };
        let name = name_of(&device);
        Ok((device, name))
    }
}

fn name_of(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "CPU",
        Device::Cuda(_) => Card::Cuda.name(),
        Device::Metal(_) => Card::Metal.name(),
    }
}

/// The number type of a coding; `None` for blocks, which no card reads here.
pub(crate) fn dtype_of(coding: Coding) -> Option<DType> {
    match coding {
        Coding::F32 => Some(DType::F32),
        Coding::F16 => Some(DType::F16),
        Coding::Bf16 => Some(DType::BF16),
        Coding::Q8_0 | Coding::Q4_0 | Coding::Q4_1 => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(card: Card) -> Result<Device, String> {
        Err(format!("no {} here", card.name()))
    }

    #[test]
    fn auto_falls_back_to_the_cpu_and_a_demand_does_not() {
        let auto = ChosenDevice::find_with(DeviceChoice::Auto, none).unwrap();
        assert!(auto.device.is_cpu());
        assert_eq!(auto.dtype, DType::F32);
        assert!(!auto.reason.is_empty() && !auto.reason.contains('\n'));
        for (choice, name) in [(DeviceChoice::Cuda, "CUDA"), (DeviceChoice::Metal, "Metal")] {
            let error = ChosenDevice::find_with(choice, none).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{name} cannot be used: no {name} here")
            );
        }
    }

    /// Stands in for a card: what is tried first wins, and who asks for the CPU opens no card.
    #[test]
    fn cuda_comes_before_metal_and_cpu_asks_for_neither() {
        let tried = std::cell::RefCell::new(Vec::new());
        let open = |card| {
            tried.borrow_mut().push(card);
            match card {
                Card::Cuda => Err("no card".to_owned()),
                Card::Metal => Ok(Device::Cpu),
            }
        };
        let found = ChosenDevice::find_with(DeviceChoice::Auto, open).unwrap();
        assert_eq!(found.reason, "Metal can be used");
        assert_eq!(found.dtype, DType::BF16);
        assert_eq!(*tried.borrow(), Card::ALL);
        tried.borrow_mut().clear();
        ChosenDevice::find_with(DeviceChoice::Cpu, open).unwrap();
        assert!(tried.borrow().is_empty());
    }

    #[cfg(not(any(feature = "cuda", feature = "metal")))]
    #[test]
    fn a_build_for_the_cpu_says_so() {
        let auto = ChosenDevice::find(DeviceChoice::Auto).unwrap();
        assert_eq!(auto.reason, "this build computes on the CPU only");
        let error = ChosenDevice::find(DeviceChoice::Cuda).unwrap_err();
        assert_eq!(
            error.to_string(),
            "CUDA cannot be used: this build is without CUDA"
        );
    }

    #[test]
    fn drivers_are_quoted_in_one_line() {
        let error = candle_core::Error::Msg("DriverError(CUDA_ERROR_NO_DEVICE, \"..\")".into());
        assert_eq!(in_words(&error), "no NVIDIA card was found");
        let error = candle_core::Error::Msg("something else\n   0: a frame".into());
        assert_eq!(in_words(&error), "something else");
    }

    #[test]
    fn the_test_product_is_right() {
        check(&Device::Cpu).unwrap();
    }
}
