//! Code compiled for the widest vectors of the processor it runs on.

/// Runs `work` compiled for AVX2 where the processor has it; what it calls must be inlined into it. No multiply-add is
/// contracted, so the result is the same.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has just said that it has AVX2.
            return unsafe { with_avx2(work) };
        }
    }
    work()
}
