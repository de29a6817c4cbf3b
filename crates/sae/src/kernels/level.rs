//! Chooses the widest instruction set at run time for functions written once.

/// Defines a function compiled three times: for AVX-512, for AVX2 with FMA, and as is.
///
/// The body must be made of `#[inline(always)]` parts, and may use `f32::mul_add` freely: it is
/// one instruction on the first two, and exact (if slow) on an old processor.
macro_rules! multiversion {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[cfg_attr(
            target_arch = "x86_64",
            expect(unsafe_code, reason = "calls a copy of the body compiled for a detected feature")
        )]
        pub(crate) fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
                fn with_avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn with_avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                if $crate::kernels::level::has_avx512() {
                    // SAFETY: `has_avx512` has found every feature the function is compiled for.
                    return unsafe { with_avx512($($arg),*) };
                }
                if $crate::kernels::level::has_avx2() {
                    // SAFETY: `has_avx2` has found every feature the function is compiled for.
                    return unsafe { with_avx2($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}
pub(crate) use multiversion;

/// Whether AVX-512 (F, VL, DQ, BW) is present.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("fma")
}

/// Whether AVX2 and FMA are present.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}
