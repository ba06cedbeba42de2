// Vectors of floats in GCC's and Clang's own notation, and the functions of them that the kernels need.
#pragma once

#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#if defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr int WIDTH = 16;
#else
constexpr int WIDTH = 8;
#endif

// Memory that begins with a line of the cache, where vectors are read fastest. What is not set to anything is left as it is.
template <typename Number>
struct InLines {
    using value_type = Number;

    Number* allocate(size_t count) { return static_cast<Number*>(operator new(count * sizeof(Number), line)); }
    void deallocate(Number* memory, size_t) { operator delete(memory, line); }
    void construct(Number*) {}
    template <typename Value>
    void construct(Number* to, Value&& value) { *to = value; }
    bool operator==(const InLines&) const { return true; }
    bool operator!=(const InLines&) const { return false; }

  private:
    static constexpr std::align_val_t line{64};
};
using Floats = std::vector<float, InLines<float>>;

constexpr float LOG2_E = 1.44269504f;

// How many parts of one size hold so many, and how many these hold.
static inline long parts(long n, long of) { return (n + of - 1) / of; }
static inline long rounded_up(long n, long to) { return parts(n, to) * to; }

typedef float vec __attribute__((vector_size(4 * WIDTH)));
typedef int32_t ivec __attribute__((vector_size(4 * WIDTH)));

static inline vec load(const float* from) {
    vec v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

static inline void store(float* to, vec v) { std::memcpy(to, &v, sizeof v); }

// The same past the cache where that can be: what is more than it holds need not be read from memory before it is written there.
// Before other threads read it `stored` has to be called.
static inline void store_past_cache(float* to, vec v) {
#if defined(__AVX__)
    if (reinterpret_cast<uintptr_t>(to) % sizeof v == 0) {
#if defined(__AVX512F__)
        return _mm512_stream_ps(to, (__m512)v);
#else
        return _mm256_stream_ps(to, (__m256)v);
#endif
    }
#endif
    store(to, v);
}

static inline void stored() {
#if defined(__AVX__)
    _mm_sfence();
#endif
}

static inline vec all(float x) { return vec{} + x; }

static inline vec larger(vec a, vec b) { return a > b ? a : b; }

// By quarters of a register first, so that few steps wait for each other.
static inline float largest(vec v) {
    typedef float quad __attribute__((vector_size(16)));
    quad parts[WIDTH / 4];
    std::memcpy(parts, &v, sizeof v);
    quad top = parts[0];
    for (int i = 1; i < WIDTH / 4; ++i) top = parts[i] > top ? parts[i] : top;
    const float a = top[0] > top[1] ? top[0] : top[1], b = top[2] > top[3] ? top[2] : top[3];
    return a > b ? a : b;
}

static inline bool any_above(vec v, float limit) {
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(limit), _CMP_GT_OQ) != 0;
#elif defined(__AVX__)
    return _mm256_movemask_ps(_mm256_cmp_ps((__m256)v, _mm256_set1_ps(limit), _CMP_GT_OQ)) != 0;
#else
    return largest(v) > limit;
#endif
}

static inline float total(vec v) {
    typedef float quad __attribute__((vector_size(16)));
    quad parts[WIDTH / 4];
    std::memcpy(parts, &v, sizeof v);
    quad sum = parts[0];
    for (int i = 1; i < WIDTH / 4; ++i) sum += parts[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// 2^x to about 1e-7, for x up to 126; what is below 2^-126 becomes (nearly) nothing.
static inline vec exp2v(vec x) {
    x = larger(x, all(-126.0f));
    const vec to_integer = all(12582912.0f);  // 1.5 * 2^23: adding it rounds, the integer is left in the low bits
    const vec shifted = x + to_integer;
    const vec f = x - (shifted - to_integer);  // in [-0.5, 0.5]
    // Of the polynomials of degree 5 the one that is relatively closest to 2^f there (Remez): off by 7.5e-8.
    vec p = all(1.32765e-3f);
    p = p * f + 9.67554e-3f;
    p = p * f + 5.550713e-2f;
    p = p * f + 2.402212e-1f;
    p = p * f + 6.9314697e-1f;
    p = p * f + 1.00000007f;
    return (vec)((ivec)p + ((ivec)shifted << 23));  // nothing of the constant is left by the shift
}

static inline vec expv(vec x) { return exp2v(x * LOG2_E); }

// 1 / x to about 1e-7, for what is finite and not zero. Dividing takes 16 cycles for a vector of AVX-512, this a few.
static inline vec reciprocal(vec x) {
#if defined(__AVX512F__)
    const vec near = (vec)_mm512_rcp14_ps((__m512)x);
    return near * (2.0f - x * near);  // a step of Newton's doubles the digits
#else
    return 1.0f / x;
#endif
}

static inline vec sigmoid(vec x) {
    const vec bounded = x < -80.0f ? all(-80.0f) : x;  // e^80 is still a float
    return reciprocal(1.0f + expv(-bounded));
}

// x * Phi(x). erf after Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: off by 1.5e-7 at most.
static inline vec gelu(vec x) {
    const vec u = x * 0.70710678f;
    const vec a = u < 0.0f ? -u : u;
    const vec t = reciprocal(1.0f + 0.3275911f * a);
    vec p = all(1.061405429f);
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const vec tail = p * t * expv(-a * a);  // 1 - erf(a)
    return 0.5f * x * (u < 0.0f ? tail : 2.0f - tail);
}
