// Softmax attention of heads of 64 channels in float32, without ever holding more than a tile of the scores.
//
// A tile is 96 queries by 64 keys. Its keys and values stay in the first cache while sixteen strips of six queries go
// over them, whose sums stay in registers. The softmax is carried along as in Milakov and Gimelshein 2018
// (arXiv 1805.02867), but what was summed is scaled to a new maximum only when that is much larger than the last.

#include <algorithm>
#include <cmath>

#include "vectors.h"

namespace {

constexpr long HEAD = 64;     // channels of a head
constexpr long KEYS = 64;     // of a tile
constexpr long STRIP = 6;     // queries whose sums fit into registers
constexpr long QUERIES = 96;  // of a tile
constexpr float SLACK = 8;    // a weight may become 2^8 before sums are scaled: far from what a float can hold

// Columns that one inner loop covers: with six rows 24 of 32 registers hold sums (AVX-512), or 12 of 16.
constexpr long COLUMNS = (WIDTH == 16 ? 4 : 2) * WIDTH;

// out[6][64] (+)= a[6][64] @ b[64][64], one strip; rows of `a` and `out` are 64 apart.
template <bool ADDS>
inline void strip_product(const float* a, const float* b, float* out) {
    for (long first = 0; first < 64; first += COLUMNS) {
        vec sums[STRIP][COLUMNS / WIDTH];
        for (long r = 0; r < STRIP; ++r)
            for (long v = 0; v < COLUMNS / WIDTH; ++v)
                sums[r][v] = ADDS ? load(out + r * 64 + first + v * WIDTH) : vec{};
        for (long k = 0; k < 64; ++k) {
            vec columns[COLUMNS / WIDTH];
            for (long v = 0; v < COLUMNS / WIDTH; ++v) columns[v] = load(b + k * 64 + first + v * WIDTH);
            for (long r = 0; r < STRIP; ++r)
                for (long v = 0; v < COLUMNS / WIDTH; ++v) sums[r][v] += a[r * 64 + k] * columns[v];
        }
        for (long r = 0; r < STRIP; ++r)
            for (long v = 0; v < COLUMNS / WIDTH; ++v) store(out + r * 64 + first + v * WIDTH, sums[r][v]);
    }
}

// Scores of one query against one tile become weights, relative to `highest`.
inline void weigh(float* scores, float* sums, float& highest, vec& weight, long keys) {
    for (long k = keys; k < KEYS; ++k) scores[k] = -INFINITY;
    vec top = load(scores);
    for (long k = WIDTH; k < KEYS; k += WIDTH) top = larger(top, load(scores + k));
    if (any_above(top, highest + SLACK)) {
        const float now = largest(top);
        const float fade = std::exp2(highest - now);
        for (long d = 0; d < HEAD; d += WIDTH) store(sums + d, load(sums + d) * fade);
        weight *= fade;
        highest = now;
    }
    for (long k = 0; k < KEYS; k += WIDTH) {
        const vec p = exp2v(load(scores + k) - highest);
        store(scores + k, p);
        weight += p;
    }
}

struct Head {
    const float* keys;    // [tiles][64 channels][64 keys], times 1 / sqrt(64) / ln 2
    const float* values;  // [tiles][64 keys][64 channels]
    long count;           // of keys
};

void attend(const Head& head, const float* queries, long query_stride, float* out, long out_stride, long count) {
    alignas(64) float q[QUERIES * HEAD] = {}, sums[QUERIES * HEAD] = {}, scores[QUERIES * KEYS];
    float highest[QUERIES];
    vec weights[QUERIES] = {};  // each the sum of its floats
    for (long r = 0; r < QUERIES; ++r) highest[r] = -INFINITY;
    for (long r = 0; r < count; ++r) std::memcpy(q + r * HEAD, queries + r * query_stride, HEAD * sizeof(float));
    for (long first = 0; first < head.count; first += KEYS) {
        const float *keys = head.keys + first * HEAD, *values = head.values + first * HEAD;
        for (long r = 0; r < count; r += STRIP) strip_product<false>(q + r * HEAD, keys, scores + r * KEYS);
        const long valid = head.count - first < KEYS ? head.count - first : KEYS;
        for (long r = 0; r < count; ++r) weigh(scores + r * KEYS, sums + r * HEAD, highest[r], weights[r], valid);
        for (long r = 0; r < count; r += STRIP) strip_product<true>(scores + r * KEYS, values, sums + r * HEAD);
    }
    for (long r = 0; r < count; ++r) {
        const float share = 1 / total(weights[r]);
        for (long d = 0; d < HEAD; d += WIDTH) store(out + r * out_stride + d, load(sums + r * HEAD + d) * share);
    }
}

}  // namespace

// q [batch, queries, heads * 64], k and v [batch, keys, heads * 64], rows `query_stride` and `key_stride` floats apart,
// batch entries follow each other; out [batch, queries, heads * 64] without gaps.
extern "C" void stemwright_attention(const float* q, const float* k, const float* v, float* out, long batch, long heads,
                                     long queries, long keys, long query_stride, long key_stride) {
    const long tiles = parts(keys, KEYS), size = tiles * KEYS * HEAD, blocks = parts(queries, QUERIES);
    Floats packed_keys(batch * heads * size), packed_values(batch * heads * size);
    const float scale = LOG2_E / std::sqrt(static_cast<float>(HEAD));
#pragma omp parallel for collapse(2)
    for (long each = 0; each < batch * heads; ++each)
        for (long tile = 0; tile < tiles; ++tile) {
            const long at = (each / heads) * keys * key_stride + (each % heads) * HEAD;
            float *to_keys = &packed_keys[each * size + tile * KEYS * HEAD], *to_values = &packed_values[each * size + tile * KEYS * HEAD];
            const long valid = std::min(KEYS, keys - tile * KEYS);
            for (long i = 0; i < valid; ++i) {
                const long from = at + (tile * KEYS + i) * key_stride;
                for (long d = 0; d < HEAD; ++d) to_keys[d * KEYS + i] = k[from + d] * scale;
                std::memcpy(to_values + i * HEAD, v + from, HEAD * sizeof(float));
            }
            std::fill(to_values + valid * HEAD, to_values + KEYS * HEAD, 0.0f);  // zero is what their weights will be
        }
    const long width = heads * HEAD;
    // Whoever is done takes the next: a processor that something else works on as well does fewer.
#pragma omp parallel for collapse(2) schedule(dynamic)
    for (long each = 0; each < batch * heads; ++each)
        for (long block = 0; block < blocks; ++block) {
            const long entry = each / heads, column = (each % heads) * HEAD, row = block * QUERIES;
            const Head head{&packed_keys[each * size], &packed_values[each * size], keys};
            attend(head, q + (entry * queries + row) * query_stride + column, query_stride,
                   out + (entry * queries + row) * width + column, width,
                   queries - row < QUERIES ? queries - row : QUERIES);
        }
}
