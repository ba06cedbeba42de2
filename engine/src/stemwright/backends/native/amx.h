// Tiles of Intel's AMX, and bfloat16, the upper half of a float32: what the kernels for 16 bits are made of.
//
// A tile register holds 16 rows of 64 bytes, and here each of the eight always does. A product adds to a tile of 16 by 16
// floats a tile of 16 rows by 32 numbers times one of 32 rows by 16 columns, whose rows lie in pairs: [16 pairs][16 columns][2].
// What a tensor does not have is filled up with zeros. Where the compiler does not know AMX, nothing of this is there.
#pragma once

#if defined(__AMX_BF16__) && defined(__AVX512BW__) && defined(__linux__)
#define STEMWRIGHT_AMX

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vectors.h"

typedef uint16_t bf16;
using Halves = std::vector<bf16, InLines<bf16>>;

constexpr long TILE_ROWS = 16;                        // of the left factor, and of what is made
constexpr long TILE_COLUMNS = 16;                     // of the right factor, and of what is made
constexpr long TILE_DEPTH = 32;                       // numbers that one product adds up
constexpr long TILE_SIZE = TILE_ROWS * TILE_DEPTH;    // numbers in 16 bits
constexpr long TILE_LINE = TILE_DEPTH * sizeof(bf16);  // bytes of a row

// Linux saves tiles only for processes that asked; false where it does not give leave.
inline bool tiles_allowed() {
    constexpr long ask = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM and XFEATURE_XTILEDATA of asm/prctl.h
    static const bool allowed = syscall(SYS_arch_prctl, ask, tile_data) == 0;
    return allowed;
}

struct TileShapes {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t bytes[16] = {TILE_LINE, TILE_LINE, TILE_LINE, TILE_LINE, TILE_LINE, TILE_LINE, TILE_LINE, TILE_LINE};
    uint8_t rows[16] = {TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS};
};
static_assert(sizeof(TileShapes) == 64, "as the processor reads it");

// The calling thread's tiles, from here on and until this goes: released, they need not be saved when threads change.
// Instructions are written out, since some compilers' own functions do not say that memory is read.
struct Tiles {
    Tiles() {
        alignas(64) static constexpr TileShapes shapes{};
        tiles_allowed();
        asm volatile("ldtilecfg %0" ::"m"(shapes));
    }
    ~Tiles() { asm volatile("tilerelease"); }
    Tiles(const Tiles&) = delete;
    Tiles& operator=(const Tiles&) = delete;
};

template <int TILE>
inline void tile_zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(TILE));
}

// Rows lie `stride` bytes apart.
template <int TILE>
inline void tile_load(const void* from, long stride = TILE_LINE) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(TILE) : "memory");
}

template <int TILE>
inline void tile_store(void* to, long stride = TILE_LINE) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(TILE) : "memory");
}

// SUMS += LEFT @ RIGHT.
template <int SUMS, int LEFT, int RIGHT>
inline void tile_product() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(SUMS), "i"(LEFT), "i"(RIGHT));
}

// Two strips of 16 rows, `apart` bytes from each other, by two columns of tiles, [depth][2][tile], are added to the tiles 0 to 3.
template <typename Meanwhile>
inline void add_pair_product(const bf16* upper, const bf16* lower, long apart, const bf16* right, long depth, Meanwhile meanwhile) {
    for (long k = 0; k < depth; ++k, right += 2 * TILE_SIZE) {
        tile_load<4>(upper + k * TILE_DEPTH, apart);
        tile_load<6>(right);
        tile_product<0, 4, 6>();
        tile_load<7>(right + TILE_SIZE);
        tile_product<1, 4, 7>();
        tile_load<5>(lower + k * TILE_DEPTH, apart);
        tile_product<2, 5, 6>();
        tile_product<3, 5, 7>();
        meanwhile();
    }
}

inline void clear_pair() {
    tile_zero<0>();
    tile_zero<1>();
    tile_zero<2>();
    tile_zero<3>();
}

// [32 rows][32 columns].
inline void store_pair(float* to) {
    constexpr long line = 2 * TILE_COLUMNS * sizeof(float);
    tile_store<0>(to, line);
    tile_store<1>(to + TILE_COLUMNS, line);
    tile_store<2>(to + 2 * TILE_ROWS * TILE_COLUMNS, line);
    tile_store<3>(to + 2 * TILE_ROWS * TILE_COLUMNS + TILE_COLUMNS, line);
}

// How many rows vectors should have done after each step of the tiles, so that both end together. Without any division.
struct Pace {
    long rows, steps, due = 0, done = 0;

    long next() {
        for (due += rows; due >= steps; due -= steps) ++done;
        return done;
    }
};

// Intel's own functions where a compiler makes more of the general ones than one instruction.
inline __m512i words(const bf16* from) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

inline vec widened(const bf16* from) { return (vec)_mm512_slli_epi32(words(from), 16); }

// 16 numbers of two rows in turns, as a right factor wants them.
inline void interleave(const bf16* even, const bf16* odd, bf16* to) {
    _mm512_storeu_si512(to, _mm512_or_si512(words(even), _mm512_slli_epi32(words(odd), 16)));
}

// Each number to the nearest, or to the even one of two.
inline void narrow(bf16* to, vec v) {
#ifdef __AVX512BF16__
    const auto made = _mm512_cvtneps_pbh((__m512)v);
#else
    const __m512i bits = (__m512i)v, odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff));
    const auto made = _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
#endif
    std::memcpy(to, &made, sizeof made);
}

// Two vectors, one behind the other.
inline void narrow(bf16* to, vec one, vec other) {
#ifdef __AVX512BF16__
    const __m512bh made = _mm512_cvtne2ps_pbh((__m512)other, (__m512)one);
    std::memcpy(to, &made, sizeof made);
#else
    narrow(to, one);
    narrow(to + WIDTH, other);
#endif
}

inline vec at_least(vec x, float low) { return (vec)_mm512_max_ps((__m512)x, _mm512_set1_ps(low)); }
inline vec at_most(vec x, float high) { return (vec)_mm512_min_ps((__m512)x, _mm512_set1_ps(high)); }

// 2^x to 1e-4, a twentieth of what 16 bits round, for x up to 126; what is below 2^-125 becomes (nearly) nothing, and no denormal.
inline vec short_exp2(vec x) {
    x = at_least(x, -125.0f);
    const vec to_integer = all(12582912.0f);  // as in exp2v
    const vec shifted = x + to_integer;
    const vec f = x - (shifted - to_integer);
    vec p = all(0.05517167f);  // the cubic with the least relative error on [-0.5, 0.5]
    p = p * f + 0.24261112f;
    p = p * f + 0.69326099f;
    p = p * f + 0.99992807f;
    return (vec)((ivec)p + ((ivec)shifted << 23));  // of the shifted number only the integer is left
}

// To 2^-14.
inline vec short_reciprocal(vec x) { return (vec)_mm512_rcp14_ps((__m512)x); }

// 1 / (1 + 2^x).
inline vec opening(vec x) { return short_reciprocal(1.0f + short_exp2(at_most(x, 126.0f))); }

// x * Phi(x). erf after Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.25: off by 2.5e-5 at most.
inline vec short_gelu(vec x) {
    const vec u = x * 0.70710678f;
    const vec a = u < 0.0f ? -u : u;
    const vec t = short_reciprocal(1.0f + 0.47047f * a);
    vec p = all(0.7478556f);
    p = p * t - 0.0958798f;
    p = p * t + 0.3480242f;
    const vec tail = p * t * short_exp2(a * a * -LOG2_E);  // 1 - erf(a)
    return 0.5f * x * (u < 0.0f ? tail : 2.0f - tail);
}

#endif
