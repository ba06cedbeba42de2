// Softmax attention of heads of 64 channels in bfloat16, by tiles (`amx.h`): see `attention.cpp` for the same in float32.
//
// A block is 32 queries by 96 keys. Vectors weigh the scores of one block while tiles compute those of the next one and
// take the values of the one before: both take about as long, so rows of the one stand between steps of the other.
// Weights are rounded to 16 bits for the products; scores, maxima and sums are float32.

#include "amx.h"

#ifdef STEMWRIGHT_AMX

#include <cmath>

namespace {

constexpr long HEAD = 64;                       // channels of a head
constexpr long QUERIES = 2 * TILE_ROWS;         // of a block
constexpr long KEYS = 3 * TILE_DEPTH;           // of a block
constexpr long SCORES = KEYS + TILE_COLUMNS;    // floats of a row: an odd number of cache lines, so that rows spread over sets
constexpr float SLACK = 8;  // a maximum may be passed by so many powers of two before what was summed is scaled again

struct Head {
    const bf16* keys;    // [keys / 16][halves of the channels][tile]
    const bf16* values;  // [keys / 32][quarters of the channels][tile]
    long count;          // of keys
    float scale;         // of scores, in powers of two
};

// What a block of queries needs: in the first cache, mostly. Two blocks of keys are under way at a time.
struct Work {
    alignas(64) bf16 queries[QUERIES * HEAD] = {};
    float scores[2][QUERIES * SCORES];
    bf16 weights[2][QUERIES * KEYS];
    float sums[QUERIES * HEAD] = {};
    vec weight[QUERIES] = {};  // each the sum of its floats
    float highest[QUERIES], fade[QUERIES];
    float limit[QUERIES];  // a score above it is a new maximum
    bool faded = false;
};

// Scores of one query against one block become weights, and those of keys that are not there nothing. WHOLE: all are.
template <bool WHOLE>
inline void weigh(Work& work, long block, long row, long keys, float scale) {
    float* scores = work.scores[block % 2] + row * SCORES;
    bf16* weights = work.weights[block % 2] + row * KEYS;
    const long count = WHOLE ? KEYS : rounded_up(keys, TILE_DEPTH);
    for (long k = keys; !WHOLE && k < count; ++k) scores[k] = -INFINITY;
    vec top = load(scores);
    for (long k = WIDTH; k < count; k += WIDTH) top = larger(top, load(scores + k));
    if (any_above(top, work.limit[row])) {
        const float now = largest(top) * scale;
        work.fade[row] = std::exp2(work.highest[row] - now);
        work.weight[row] *= work.fade[row];
        work.highest[row] = now;
        work.limit[row] = (now + SLACK) / scale;
        work.faded = true;
    }
    const vec highest = all(work.highest[row]);
    vec even{}, odd{};
    for (long k = 0; k < count; k += 2 * WIDTH) {
        const vec one = short_exp2(load(scores + k) * scale - highest);
        const vec other = short_exp2(load(scores + k + WIDTH) * scale - highest);
        even += one;
        odd += other;
        narrow(weights + k, one, other);
    }
    work.weight[row] += even + odd;
}

// The rows of a block that are weighed between the steps of the tiles.
struct Rows {
    Work& work;
    long block, keys;
    float scale;
    Pace pace;
    long row = 0;

    void go_on() {
        for (const long until = pace.next(); row < until; ++row)
            if (keys == KEYS)
                weigh<true>(work, block, row, keys, scale);
            else
                weigh<false>(work, block, row, keys, scale);
    }
};

// Scores of a block: each step 32 queries, which stay in tiles, with 16 keys.
template <typename Meanwhile>
void score(const bf16* queries, const bf16* keys, long count, float* scores, Meanwhile meanwhile) {
    constexpr long apart = HEAD * sizeof(bf16);
    tile_load<4>(queries, apart);
    tile_load<5>(queries + TILE_DEPTH, apart);
    tile_load<6>(queries + TILE_ROWS * HEAD, apart);
    tile_load<7>(queries + TILE_ROWS * HEAD + TILE_DEPTH, apart);
    for (long k = 0; k < count; k += TILE_COLUMNS, keys += 2 * TILE_SIZE) {
        tile_zero<0>();
        tile_zero<1>();
        tile_load<2>(keys);
        tile_product<0, 4, 2>();
        tile_product<1, 6, 2>();
        tile_load<3>(keys + TILE_SIZE);
        tile_product<0, 5, 3>();
        tile_product<1, 7, 3>();
        tile_store<0>(scores + k, SCORES * sizeof(float));
        tile_store<1>(scores + TILE_ROWS * SCORES + k, SCORES * sizeof(float));
        meanwhile();
    }
}

// Adds the weighted values of a block to the sums: each step 32 queries, 32 keys and half of the channels.
template <typename Meanwhile>
void take_values(const bf16* weights, const bf16* values, long count, float* sums, Meanwhile meanwhile) {
    constexpr long apart = HEAD * sizeof(float), rows = TILE_ROWS * HEAD;
    for (long half = 0; half < 2; ++half, sums += 2 * TILE_COLUMNS, values += 2 * TILE_SIZE) {
        tile_load<0>(sums, apart);
        tile_load<1>(sums + TILE_COLUMNS, apart);
        tile_load<2>(sums + rows, apart);
        tile_load<3>(sums + rows + TILE_COLUMNS, apart);
        for (long k = 0; k < count; k += TILE_DEPTH) {
            const bf16* right = values + k * HEAD;
            tile_load<4>(weights + k, KEYS * sizeof(bf16));
            tile_load<6>(right);
            tile_product<0, 4, 6>();
            tile_load<7>(right + TILE_SIZE);
            tile_product<1, 4, 7>();
            tile_load<5>(weights + TILE_ROWS * KEYS + k, KEYS * sizeof(bf16));
            tile_product<2, 5, 6>();
            tile_product<3, 5, 7>();
            meanwhile();
        }
        tile_store<0>(sums, apart);
        tile_store<1>(sums + TILE_COLUMNS, apart);
        tile_store<2>(sums + rows, apart);
        tile_store<3>(sums + rows + TILE_COLUMNS, apart);
    }
}

// What was summed before this block, to its maxima.
void fade(Work& work) {
    if (!work.faded) return;
    work.faded = false;
    for (long r = 0; r < QUERIES; ++r) {
        for (long d = 0; d < HEAD; d += WIDTH) store(&work.sums[r * HEAD + d], load(&work.sums[r * HEAD + d]) * work.fade[r]);
        work.fade[r] = 1;
    }
}

void attend(const Head& head, const bf16* queries, long query_stride, bf16* out, long out_stride, long count) {
    Work work;
    for (long r = 0; r < QUERIES; ++r) work.highest[r] = work.limit[r] = -INFINITY, work.fade[r] = 1;
    for (long r = 0; r < count; ++r) std::memcpy(&work.queries[r * HEAD], queries + r * query_stride, HEAD * sizeof(bf16));
    const long blocks = parts(head.count, KEYS);
    const auto keys_of = [&](long block) { return block + 1 < blocks ? KEYS : head.count - block * KEYS; };
    const auto padded = [&](long block) { return block < 0 || block >= blocks ? 0 : rounded_up(keys_of(block), TILE_DEPTH); };
    const auto scores_of = [&](long block, auto meanwhile) {
        score(work.queries, head.keys + block * KEYS * HEAD, padded(block), work.scores[block % 2], meanwhile);
    };
    const auto values_of = [&](long block, auto meanwhile) {
        take_values(work.weights[block % 2], head.values + block * KEYS * HEAD, padded(block), work.sums, meanwhile);
    };
    scores_of(0, [] {});
    for (long block = 0; block < blocks; ++block) {
        const long steps = blocks == 1 ? 1 : (padded(block + 1) + padded(block - 1)) / TILE_COLUMNS;
        Rows rows{work, block, keys_of(block), head.scale, {QUERIES, steps}};
        const auto meanwhile = [&] { rows.go_on(); };
        if (block + 1 < blocks) scores_of(block + 1, meanwhile);
        if (block > 0) values_of(block - 1, meanwhile);
        if (blocks == 1) meanwhile();
        fade(work);
    }
    values_of(blocks - 1, [] {});
    for (long r = 0; r < count; ++r) {
        const float share = 1 / total(work.weight[r]);
        for (long d = 0; d < HEAD; d += WIDTH) narrow(out + r * out_stride + d, load(&work.sums[r * HEAD + d]) * share);
    }
}

// 32 keys from `k` and their values, rows `apart` numbers from each other, as right factors; missing ones are zeros.
void pack(const bf16* k, const bf16* v, long apart, long count, bf16* keys, bf16* values) {
    static constexpr bf16 nothing[HEAD] = {};
    const auto row = [&](const bf16* from, long i) { return i < count ? from + i * apart : nothing; };
    for (long i = 0; i < TILE_DEPTH; ++i) {
        const bf16* from = row(k, i);
        bf16* to = keys + i / TILE_COLUMNS * 2 * TILE_SIZE + i % TILE_COLUMNS * 2;
        for (long half = 0; half < 2; ++half, to += TILE_SIZE)
            for (long line = 0; line < TILE_DEPTH / 2; ++line, from += 2) std::memcpy(to + line * TILE_DEPTH, from, 2 * sizeof(bf16));
    }
    for (long i = 0; i < TILE_DEPTH; i += 2)
        for (long d = 0; d < HEAD; d += TILE_COLUMNS)
            interleave(row(v, i) + d, row(v, i + 1) + d, values + d / TILE_COLUMNS * TILE_SIZE + i / 2 * TILE_DEPTH);
}

}  // namespace

// As `stemwright_attention`, in bfloat16.
extern "C" void stemwright_attention_bf16(const bf16* q, const bf16* k, const bf16* v, bf16* out, long batch, long heads,
                                          long queries, long keys, long query_stride, long key_stride) {
    const long groups = parts(keys, TILE_DEPTH), blocks = parts(queries, QUERIES);
    const long part = TILE_DEPTH * HEAD, size = groups * part;
    Halves packed(2 * batch * heads * size);
    const auto keys_of = [&](long each) { return &packed[2 * each * size]; };
    const auto values_of = [&](long each) { return &packed[(2 * each + 1) * size]; };
    const float scale = LOG2_E / std::sqrt(static_cast<float>(HEAD));
#pragma omp parallel
    {
        const Tiles tiles;
#pragma omp for collapse(2)
        for (long each = 0; each < batch * heads; ++each)
            for (long group = 0; group < groups; ++group) {
                const long from = (each / heads * keys + group * TILE_DEPTH) * key_stride + each % heads * HEAD;
                const long count = keys - group * TILE_DEPTH < TILE_DEPTH ? keys - group * TILE_DEPTH : TILE_DEPTH;
                pack(k + from, v + from, key_stride, count, keys_of(each) + group * part, values_of(each) + group * part);
            }
#pragma omp for collapse(2) schedule(dynamic)
        for (long each = 0; each < batch * heads; ++each)
            for (long block = 0; block < blocks; ++block) {
                const long entry = each / heads, column = each % heads * HEAD, row = block * QUERIES;
                const Head head{keys_of(each), values_of(each), keys, scale};
                attend(head, q + (entry * queries + row) * query_stride + column, query_stride,
                       out + (entry * queries + row) * heads * HEAD + column, heads * HEAD,
                       queries - row < QUERIES ? queries - row : QUERIES);
            }
    }
}

#endif
