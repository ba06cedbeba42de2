// The gate of Demucs's decoder (`stemwright.models.layers.Rewrite`) in float32: GLU(convolution(x + skip) + bias), of three
// samples of time, or three rows by three samples.
//
// By Winograd's minimal filtering F(4, 3) (Lavin and Gray 2016, arXiv 1509.09308): a tile is six samples (by six rows) of the
// input and four (by four) of the output. Its values at six (by six) points are computed, multiplied by those of the kernel,
// which `stemwright/backends/winograd.py` prepares, and turned back. That takes half (a quarter) of the products. A block of tiles
// goes through all of it in the cache: the sum, the values at the points, what the products make of them and what the
// gate closes are never stored in whole. Vectors lie along the channels, as the tensors do.

#include <omp.h>

#include <algorithm>

#include "vectors.h"

namespace {

constexpr long IN = 6, OUT = 4;                 // samples of a tile
constexpr long LANES = 16;                      // channels that lie together, whatever a vector holds
constexpr long PANEL = 2 * LANES;               // output channels of one product: values, and the gates of the same
constexpr long STRIP = WIDTH == 16 ? 12 : 6;    // tiles whose sums stay in registers, 24 of 32 (AVX-512) or 12 of 16
constexpr float A = 0.625f, B = 1.5f;           // the points are 0, A, -A, B, -B and infinity
constexpr float A2 = A * A, B2 = B * B;

// PLANAR: the kernel is three by three.
template <bool PLANAR>
struct Gate {
    static constexpr long READ = PLANAR ? IN : 1, WRITTEN = PLANAR ? OUT : 1;  // rows of a tile
    static constexpr long POINTS = READ * IN;
    static constexpr long LEAD = PLANAR ? 1 : 0;  // rows that are read above the first that is written

    const float *x, *skip;  // [batch, rows, frames, channels], as `out`
    float* out;
    long batch, rows, frames, channels;
    const float* weights;  // [points][channels / 16][channels][value, gate][16]
    const float* bias;     // [2 * channels]
    long tiles_down = parts(rows, WRITTEN), tiles_across = parts(frames, OUT);
};

// Where a tile writes first. It reads one sample (and one row) earlier.
template <bool PLANAR>
struct Place {
    const Gate<PLANAR>& gate;
    long entry, row, frame;

    Place(const Gate<PLANAR>& of, long tile) : gate(of) {
        const long each = gate.tiles_down * gate.tiles_across;
        entry = tile / each;
        row = tile % each / gate.tiles_across * gate.WRITTEN;
        frame = tile % gate.tiles_across * OUT;
    }
    bool inside(long r, long f) const { return r >= 0 && r < gate.rows && f >= 0 && f < gate.frames; }
    long at(long r, long f) const { return ((entry * gate.rows + r) * gate.frames + f) * gate.channels; }
};

// Six samples become their values at the points: B^T of the paper.
inline void to_points(vec (&x)[IN]) {
    const vec even_a = x[4] - B2 * x[2], odd_a = A * (x[3] - B2 * x[1]);
    const vec even_b = x[4] - A2 * x[2], odd_b = B * (x[3] - A2 * x[1]);
    x[0] = x[4] - (A2 + B2) * x[2] + A2 * B2 * x[0];
    x[5] = x[5] - (A2 + B2) * x[3] + A2 * B2 * x[1];
    x[1] = even_a + odd_a;
    x[2] = even_a - odd_a;
    x[3] = even_b + odd_b;
    x[4] = even_b - odd_b;
}

// Products at the points become the first four samples: A^T of the paper.
inline void from_points(vec (&x)[IN]) {
    const vec even_a = x[1] + x[2], odd_a = A * (x[1] - x[2]);
    const vec even_b = x[3] + x[4], odd_b = B * (x[3] - x[4]);
    x[0] = x[0] + even_a + even_b;
    x[1] = odd_a + odd_b;
    x[2] = A2 * even_a + B2 * even_b;
    x[3] = A2 * odd_a + B2 * odd_b + x[5];
}

// A vector of channels of a tile to its values at the points, `apart` floats from each other. WHOLE: no sample lies outside.
template <bool WHOLE, bool PLANAR>
inline void read_tile(const Place<PLANAR>& place, long c, float* values, long apart) {
    const Gate<PLANAR>& gate = place.gate;
    vec seen[Gate<PLANAR>::READ][IN];
    for (long j = 0; j < IN; ++j) {
        vec column[IN];
        for (long i = 0; i < gate.READ; ++i) {
            const long r = place.row - gate.LEAD + i, f = place.frame - 1 + j, at = place.at(r, f) + c;
            column[i] = WHOLE || place.inside(r, f) ? load(gate.x + at) + load(gate.skip + at) : vec{};
        }
        if constexpr (PLANAR) to_points(column);
        for (long i = 0; i < gate.READ; ++i) seen[i][j] = column[i];
    }
    for (long i = 0; i < gate.READ; ++i) {
        to_points(seen[i]);
        for (long j = 0; j < IN; ++j) store(values + (i * IN + j) * apart, seen[i][j]);
    }
}

// A strip of tiles at one point, [channels / 16][`apart` floats: tiles, 16], times a panel of weights: [tiles][value, gate][16].
inline void product(const float* values, long apart, long channels, const float* weights, float* made) {
    for (long lane = 0; lane < LANES; lane += WIDTH) {
        vec sums[STRIP][2] = {};
        const float *from = values, *panel = weights + lane;
        for (long c = 0; c < channels; c += LANES, from += apart)
#pragma GCC unroll 8
            for (long j = 0; j < LANES; ++j, panel += PANEL) {
                const vec of_value = load(panel), of_gate = load(panel + LANES);
                for (long r = 0; r < STRIP; ++r) {
                    const float x = from[r * LANES + j];
                    sums[r][0] += x * of_value;
                    sums[r][1] += x * of_gate;
                }
            }
        for (long r = 0; r < STRIP; ++r) {
            store(made + r * PANEL + lane, sums[r][0]);
            store(made + r * PANEL + lane + LANES, sums[r][1]);
        }
    }
}

// The samples of a tile out of its products, `apart` floats from each other: a vector of channels.
template <bool PLANAR>
inline void turn_back(const float* products, long apart, vec (&samples)[Gate<PLANAR>::WRITTEN][OUT]) {
    constexpr long READ = Gate<PLANAR>::READ, WRITTEN = Gate<PLANAR>::WRITTEN;
    vec made[WRITTEN][IN];
    for (long j = 0; j < IN; ++j) {
        vec column[IN];
        for (long i = 0; i < READ; ++i) column[i] = load(products + (i * IN + j) * apart);
        if constexpr (PLANAR) from_points(column);
        for (long i = 0; i < WRITTEN; ++i) made[i][j] = column[i];
    }
    for (long i = 0; i < WRITTEN; ++i) {
        from_points(made[i]);
        for (long j = 0; j < OUT; ++j) samples[i][j] = made[i][j];
    }
}

// Products of a tile to 16 channels of the output from `c`.
template <bool PLANAR>
void write_tile(const Place<PLANAR>& place, long c, const float* products, long apart) {
    const Gate<PLANAR>& gate = place.gate;
    for (long lane = 0; lane < LANES; lane += WIDTH) {
        vec value[Gate<PLANAR>::WRITTEN][OUT], closing[Gate<PLANAR>::WRITTEN][OUT];
        turn_back<PLANAR>(products + lane, apart, value);
        turn_back<PLANAR>(products + lane + LANES, apart, closing);
        const float* bias = gate.bias + c + lane;
        const vec value_bias = load(bias), closing_bias = load(bias + gate.channels);
        for (long i = 0; i < gate.WRITTEN; ++i)
            for (long j = 0; j < OUT; ++j) {
                const long r = place.row + i, f = place.frame + j;
                if (!place.inside(r, f)) continue;
                const vec open = sigmoid(closing[i][j] + closing_bias);
                store(gate.out + place.at(r, f) + c + lane, (value[i][j] + value_bias) * open);
            }
    }
}

// What tiles that are computed together need: a thread's own.
struct Block {
    long size;      // tiles, a multiple of STRIP
    float* values;  // [points][channels / 16][size][16]
    float* made;    // [points][size][value, gate][16], one panel after the other
};

template <bool PLANAR>
void read_block(const Gate<PLANAR>& gate, const Block& block, long first, long count) {
    for (long n = 0; n < count; ++n) {
        const Place<PLANAR> place(gate, first + n);
        const long r = place.row - gate.LEAD, f = place.frame - 1;
        const bool whole = place.inside(r, f) && place.inside(r + gate.READ - 1, f + IN - 1);
        for (long c = 0; c < gate.channels; c += WIDTH) {
            float* to = block.values + (c / LANES * block.size + n) * LANES + c % LANES;
            if (whole)
                read_tile<true>(place, c, to, gate.channels * block.size);
            else
                read_tile<false>(place, c, to, gate.channels * block.size);
        }
    }
}

template <bool PLANAR>
void compute_block(const Gate<PLANAR>& gate, const Block& block, long first, long count) {
    read_block(gate, block, first, count);
    for (long c = 0; c < gate.channels; c += LANES) {
        for (long point = 0; point < gate.POINTS; ++point) {
            const float* values = block.values + point * gate.channels * block.size;
            const float* weights = gate.weights + (point * gate.channels + c) * 2 * gate.channels;
            float* made = block.made + point * block.size * PANEL;
            for (long n = 0; n < count; n += STRIP)
                product(values + n * LANES, block.size * LANES, gate.channels, weights, made + n * PANEL);
        }
        for (long n = 0; n < count; ++n)
            write_tile(Place<PLANAR>(gate, first + n), c, block.made + n * PANEL, block.size * PANEL);
    }
}

template <bool PLANAR>
void compute(const Gate<PLANAR>& gate) {
    const long tiles = gate.batch * gate.tiles_down * gate.tiles_across;
    // Measured with two threads that share a second cache of 1 MB: few tiles stay in it; once the weights do not, they
    // are read for as many tiles at a time as pays, but every thread gets some.
    const long most = PLANAR && gate.channels < 192 ? 24 : 84;
    const long size = rounded_up(std::min(most, tiles / omp_get_max_threads() + 1), STRIP);
#pragma omp parallel
    {
        const long values = gate.POINTS * size * gate.channels, made = gate.POINTS * size * PANEL;
        Floats memory(values + made);
        std::fill_n(memory.begin(), values, 0.0f);  // strips are whole also where tiles end
        const Block block{size, memory.data(), memory.data() + values};
#pragma omp for schedule(dynamic)
        for (long first = 0; first < tiles; first += size)
            compute_block(gate, block, first, std::min(size, tiles - first));
    }
}

}  // namespace

// x, skip and out [batch, rows, frames, channels]; `channels` is a multiple of 16. `weights` and `points` as `winograd.packed`
// gives them: 36 points for a kernel of three rows by three samples, 6 for one of three samples; `bias` [2 * channels].
extern "C" void stemwright_rewrite(const float* x, const float* skip, float* out, long batch, long rows, long frames, long channels,
                                   long points, const float* weights, const float* bias) {
    if (points == Gate<true>::POINTS)
        compute(Gate<true>{x, skip, out, batch, rows, frames, channels, weights, bias});
    else
        compute(Gate<false>{x, skip, out, batch, rows, frames, channels, weights, bias});
}
