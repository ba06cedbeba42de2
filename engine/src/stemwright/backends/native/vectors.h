// Vectors of floats in GCC's and Clang's own notation, and the functions of them that the kernels need.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
constexpr int WIDTH = 16;
#else
constexpr int WIDTH = 8;
#endif

typedef float vec __attribute__((vector_size(4 * WIDTH)));
typedef int32_t ivec __attribute__((vector_size(4 * WIDTH)));

static inline vec load(const float* from) {
    vec v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

static inline void store(float* to, vec v) { std::memcpy(to, &v, sizeof v); }

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

static inline float total(vec v) {
    float sum = 0;
    for (int i = 0; i < WIDTH; ++i) sum += v[i];
    return sum;
}

// 2^x to about 1e-7, for x up to 126; what is below 2^-126 becomes (nearly) nothing.
static inline vec exp2v(vec x) {
    x = larger(x, all(-126.0f));
    const vec to_integer = all(12582912.0f);  // 1.5 * 2^23: adding it rounds, the integer is left in the low bits
    const vec shifted = x + to_integer;
    const vec f = x - (shifted - to_integer);  // in [-0.5, 0.5]
    // Taylor's series of 2^f in f * ln 2.
    vec p = all(1.5403530e-4f);
    p = p * f + 1.3333558e-3f;
    p = p * f + 9.6181291e-3f;
    p = p * f + 5.5504109e-2f;
    p = p * f + 2.4022651e-1f;
    p = p * f + 6.9314718e-1f;
    p = p * f + 1.0f;
    return (vec)((ivec)p + (((ivec)shifted - (ivec)to_integer) << 23));
}

static inline vec expv(vec x) { return exp2v(x * 1.44269504f); }

static inline vec sigmoid(vec x) {
    const vec bounded = x < -80.0f ? all(-80.0f) : x;  // e^80 is still a float
    return 1.0f / (1.0f + expv(-bounded));
}

// x * Phi(x). erf after Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: off by 1.5e-7 at most.
static inline vec gelu(vec x) {
    const vec u = x * 0.70710678f;
    const vec a = u < 0.0f ? -u : u;
    const vec t = 1.0f / (1.0f + 0.3275911f * a);
    vec p = all(1.061405429f);
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const vec tail = p * t * expv(-a * a);  // 1 - erf(a)
    return 0.5f * x * (u < 0.0f ? tail : 2.0f - tail);
}
