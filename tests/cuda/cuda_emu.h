// What a CUDA source file takes for granted, for g++: the same text is compiled as C++17 and run by fibres on one thread.
#pragma once
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
extern dim3 threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

#ifndef __global__
#define __global__ __attribute__((weak))
#endif
#define __device__ __attribute__((weak))
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
// One block runs at a time, so what its threads share can be static.
#define __shared__ static

extern "C" void emu_syncthreads();
extern "C" void emu_syncwarp();
extern "C" void *emu_dynshared();
extern "C" uint64_t emu_shfl(uint64_t value, int lane);
extern "C" int emu_lane();
extern "C" void emu_reg(const char *name, void (*call)(void **), int arguments);

inline void __syncthreads() { emu_syncthreads(); }
inline void __syncwarp(unsigned = ~0u) { emu_syncwarp(); }
inline void __threadfence() {}

// ---- shuffles
template <class T> T emu_from(T value, int lane) {
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = emu_shfl(bits, lane);
    memcpy(&value, &bits, sizeof value);
    return value;
}
template <class T> T __shfl_sync(unsigned, T v, int source, int width = 32) {
    return emu_from(v, emu_lane() / width * width + source % width);
}
template <class T> T __shfl_down_sync(unsigned, T v, unsigned by, int width = 32) {
    int lane = emu_lane();
    return emu_from(v, lane % width + (int)by < width ? lane + (int)by : lane);
}
template <class T> T __shfl_up_sync(unsigned, T v, unsigned by, int width = 32) {
    int lane = emu_lane();
    return emu_from(v, lane % width >= (int)by ? lane - (int)by : lane);
}
template <class T> T __shfl_xor_sync(unsigned, T v, int mask, int = 32) { return emu_from(v, emu_lane() ^ mask); }

// ---- atomics: fibres never run at once, so a plain read, change and write is one
template <class T, class U> T atomicAdd(T *p, U v) {
    T old = *p;
    *p = old + (T)v;
    return old;
}
template <class T, class U> T atomicMax(T *p, U v) {
    T old = *p;
    if ((T)v > old) *p = (T)v;
    return old;
}
template <class T, class U> T atomicMin(T *p, U v) {
    T old = *p;
    if ((T)v < old) *p = (T)v;
    return old;
}
template <class T> T atomicExch(T *p, T v) {
    T old = *p;
    *p = v;
    return old;
}
template <class T, class U, class V> T atomicCAS(T *p, U expected, V v) {
    T old = *p;
    if (old == (T)expected) *p = (T)v;
    return old;
}

// ---- arithmetic
template <class T> T __ldg(const T *p) { return *p; }
template <class A, class B> std::common_type_t<A, B> max(A a, B b) {
    using C = std::common_type_t<A, B>;
    return (C)a > (C)b ? (C)a : (C)b;
}
template <class A, class B> std::common_type_t<A, B> min(A a, B b) {
    using C = std::common_type_t<A, B>;
    return (C)a < (C)b ? (C)a : (C)b;
}
template <class T, class F> inline T emu_bits(F from) {
    static_assert(sizeof(T) == sizeof(F));
    T to;
    memcpy(&to, &from, sizeof to);
    return to;
}
inline unsigned __float_as_uint(float f) { return emu_bits<unsigned>(f); }
inline int __float_as_int(float f) { return emu_bits<int>(f); }
inline float __uint_as_float(unsigned u) { return emu_bits<float>(u); }
inline float __int_as_float(int i) { return emu_bits<float>(i); }
inline long long __double_as_longlong(double d) { return emu_bits<long long>(d); }
inline double __longlong_as_double(long long l) { return emu_bits<double>(l); }
inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((uint64_t)a * b) >> 32); }
#define __expf expf
#define __logf logf
#define __sinf sinf
#define __cosf cosf
#define __powf powf
using std::isinf;
using std::isnan;
using std::signbit;

// ---- the driver's `void **` of arguments to a typed call; number and types come from the kernel itself
template <class... A> struct EmuCall {
    using Kernel = void (*)(A...);
    template <Kernel kernel, size_t... I> static void go(void **arguments, std::index_sequence<I...>) {
        kernel(*(std::remove_cv_t<A> *)arguments[I]...);
    }
    template <Kernel kernel> static void call(void **arguments) {
        go<kernel>(arguments, std::index_sequence_for<A...>{});
    }
};
template <class... A> EmuCall<A...> emu_deduce(void (*)(A...));
