// Half precision for the stand-in, through the processor's F16C conversions (round to nearest even).
#pragma once
#include <immintrin.h>

struct __half {
    unsigned short b;
    __half() = default;
    __half(float f) : b(_cvtss_sh(f, 0)) {}
    __half(double f) : __half((float)f) {}
    __half(int f) : __half((float)f) {}
    __half(size_t f) : __half((float)f) {}
    operator float() const { return _cvtsh_ss(b); }
    __half &operator+=(__half o) { return *this = __half((float)*this + (float)o); }
    __half &operator-=(__half o) { return *this = __half((float)*this - (float)o); }
    __half &operator*=(__half o) { return *this = __half((float)*this * (float)o); }
    __half &operator/=(__half o) { return *this = __half((float)*this / (float)o); }
};

#define EMU_ARITHMETIC(op) \
    inline __half operator op(__half a, __half b) { return __half((float)a op(float) b); }
EMU_ARITHMETIC(+)
EMU_ARITHMETIC(-)
EMU_ARITHMETIC(*)
EMU_ARITHMETIC(/)
#define EMU_COMPARISON(op) \
    inline bool operator op(__half a, __half b) { return (float)a op(float) b; }
EMU_COMPARISON(<)
EMU_COMPARISON(>)
EMU_COMPARISON(<=)
EMU_COMPARISON(>=)
EMU_COMPARISON(==)
EMU_COMPARISON(!=)
inline __half operator-(__half a) { return __half(-(float)a); }

inline float __half2float(__half h) { return h; }
inline __half __float2half(float f) { return f; }
inline unsigned short __half_as_ushort(__half h) { return h.b; }
inline __half __ushort_as_half(unsigned short u) {
    __half h;
    h.b = u;
    return h;
}
inline bool __hisnan(__half h) {
    float f = h;
    return f != f;
}
inline bool __hgt(__half a, __half b) { return a > b; }
inline bool __hlt(__half a, __half b) { return a < b; }
inline __half __habs(__half h) { return fabsf(h); }
inline __half __hmax(__half a, __half b) { return fmaxf(a, b); }
inline __half __hmin(__half a, __half b) { return fminf(a, b); }
inline __half hcos(__half a) { return cosf(a); }
inline __half hsin(__half a) { return sinf(a); }
inline __half hsqrt(__half a) { return sqrtf(a); }
inline __half hlog(__half a) { return logf(a); }
inline __half hexp(__half a) { return expf(a); }
