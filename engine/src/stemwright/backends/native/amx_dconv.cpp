// Demucs's residual branch (`stemwright.models.layers.DConv`) in bfloat16, by tiles (`amx.h`): see `dconv.cpp` for the same in
// float32.

#include "amx.h"

#ifdef STEMWRIGHT_AMX

#include <algorithm>

#include "residual.h"

namespace {

constexpr long STRIPS = 3;                  // of a block of the first convolution
constexpr long BLOCK = STRIPS * TILE_ROWS;  // samples of time
constexpr long PAIR = 2 * TILE_ROWS;        // samples of the second one's block
constexpr long TILE = 2 * BLOCK;            // samples that are computed together: blocks of both kinds, as a row of 336 is

// What a layer has learnt. Hidden channels are filled up to whole vectors by some that stay zero, and to whole tiles.
struct Layer : Learnt {
    long channels, hidden, dilation;
    Floats hidden_bias, hidden_gain1, hidden_bias1;  // [padded]
    long padded = rounded_up(hidden, WIDTH), stride = rounded_up(hidden, TILE_DEPTH);
    long depth = parts(channels, TILE_DEPTH);

    Layer(const Learnt& learnt, long channels, long hidden, long dilation)
        : Learnt(learnt), channels(channels), hidden(hidden), dilation(dilation),
          hidden_bias(padded_with_zeros(learnt.squeeze_bias, hidden, WIDTH)), hidden_gain1(padded_with_zeros(learnt.gain1, hidden, WIDTH)),
          hidden_bias1(padded_with_zeros(learnt.bias1, hidden, WIDTH)) {}

    // [3][channels / 32][padded / 16][tile]
    const bf16* squeeze_tiles() const { return static_cast<const bf16*>(squeeze); }
    // [channels / 16][hidden / 32][value, gate][tile]
    const bf16* widen_tiles() const { return static_cast<const bf16*>(widen); }
};

// What a thread works with.
struct Work {
    Halves around;     // [TILE + neighbours][channels]: a tile at an end of the row, with zeros beyond
    Floats activated;  // [TILE][padded]
    Floats to_wide;    // [4][channels]: what the second norm does to values and to their gates
    alignas(64) float made[2][PAIR * 2 * TILE_COLUMNS];

    explicit Work(const Layer& layer)
        : around((TILE + 2 * layer.dilation + 1) * layer.channels), activated(TILE * layer.padded), to_wide(4 * layer.channels) {}
};

// Where products may read a tile's samples and those around it. They read a little more than there is, at some numbers of
// channels the beginning of the next sample, which no weight takes.
const bf16* neighbourhood(const bf16* x, long time, long first, const Layer& layer, bf16* around) {
    const long from = first - layer.dilation, to = first + TILE + layer.dilation + 1, size = layer.channels;
    if (from >= 0 && to <= time) return x + from * size;
    const long begin = std::max(from, 0L), end = std::min(to, time);
    bf16* last = std::fill_n(around, (begin - from) * size, bf16{});
    last = std::copy(x + begin * size, x + end * size, last);
    std::fill_n(last, (to - end) * size, bf16{});
    return around;
}

// 48 samples at 16 hidden channels: [48][16].
template <typename Meanwhile>
void squeeze_block(const bf16* from, const Layer& layer, long column, float* made, Meanwhile meanwhile) {
    const long apart = layer.channels * sizeof(bf16), strip = TILE_ROWS * layer.channels;
    const bf16* weights = layer.squeeze_tiles() + column * TILE_SIZE;
    tile_zero<0>();
    tile_zero<1>();
    tile_zero<2>();
    for (long tap = 0; tap < 3; ++tap)
        for (long k = 0; k < layer.depth; ++k, weights += layer.padded / TILE_COLUMNS * TILE_SIZE) {
            const bf16* left = from + tap * layer.dilation * layer.channels + k * TILE_DEPTH;
            tile_load<6>(weights);
            tile_load<3>(left, apart);
            tile_product<0, 3, 6>();
            tile_load<4>(left + strip, apart);
            tile_product<1, 4, 6>();
            tile_load<5>(left + 2 * strip, apart);
            tile_product<2, 5, 6>();
            meanwhile();
        }
    tile_store<0>(made);
    tile_store<1>(made + TILE_ROWS * TILE_COLUMNS);
    tile_store<2>(made + 2 * TILE_ROWS * TILE_COLUMNS);
}

// First pass over a tile: the squeezed channels [tile, stride] and their moments, of each block while the next is computed.
void squeeze(const bf16* from, long count, const Layer& layer, Work& work, bf16* inner, Moments& moments) {
    vec sum{}, squares{};
    long turn = 0, row = 0, rows = 0, channel = 0;
    bf16* to = nullptr;
    const auto settle = [&](long until) {
        const long apart = layer.stride;
        const vec bias = load(&layer.hidden_bias[channel]);
        const float* made = work.made[1 - turn % 2] + row * TILE_COLUMNS;
        bf16* line = to + row * apart;
        for (; row < until; ++row, made += TILE_COLUMNS, line += apart) {
            const vec y = load(made) + bias;
            sum += y;
            squares += y * y;
            narrow(line, y);
        }
    };
    for (long first = 0; first < count; first += BLOCK)
        for (long column = 0; column < layer.padded / TILE_COLUMNS; ++column, ++turn) {
            Pace pace{rows, 3 * layer.depth};
            squeeze_block(from + first * layer.channels, layer, column, work.made[turn % 2], [&] { settle(pace.next()); });
            to = inner + first * layer.stride + column * TILE_COLUMNS;
            channel = column * TILE_COLUMNS;
            row = 0, rows = std::min(BLOCK, count - first);
        }
    settle(rows);
    moments.sum += total(sum);
    moments.squares += total(squares);
}

// Second pass over a tile: norm and GELU in place, and the moments of the widened channels.
Moments activate(bf16* inner, const Layer& layer, long count, float scale, float offset, Work& work) {
    for (long h = 0; h < layer.padded; h += WIDTH) {
        const vec a = scale * load(&layer.hidden_gain1[h]), b = offset * load(&layer.hidden_gain1[h]) + load(&layer.hidden_bias1[h]);
        const long apart = layer.stride, padded = layer.padded;
        bf16* line = inner + h;
        float* to = &work.activated[h];
        for (long t = 0; t < count; ++t, line += apart, to += padded) {
            const vec made = short_gelu(widened(line) * a + b);
            store(to, made);
            narrow(line, made);
        }
    }
    return wide_moments(work.activated.data(), count, layer.hidden, layer.padded, layer.moments);
}

// What the second norm and the gain do, in one product and one sum each; gates as powers of two.
void prepare(const Layer& layer, float scale, float offset, float* made) {
    const long n = layer.channels;
    for (long c = 0; c < n; ++c)
        for (long gate = 0; gate < 2; ++gate) {
            const long at = gate * n + c;
            const float by = gate ? -LOG2_E : layer.scale[c], a = scale * layer.gain2[at];
            made[2 * gate * n + c] = a * by;
            made[(2 * gate + 1) * n + c] = (layer.widen_bias[at] * a + offset * layer.gain2[at] + layer.bias2[at]) * by;
        }
}

// Third pass over a tile: the widened channels, norm, GLU, gain, added to the input; of each block while the next is computed.
void finish(const bf16* inner, const Layer& layer, long count, Work& work, const bf16* x, bf16* out) {
    const long apart = layer.channels, line = layer.stride * sizeof(bf16), depth = layer.stride / TILE_DEPTH;
    long turn = 0, first_row = 0, channel = 0, rows = 0;
    const auto settle = [&] {
        const float *made = work.made[1 - turn % 2], *norm = work.to_wide.data() + channel;
        const vec a = load(norm), b = load(norm + apart), gate_a = load(norm + 2 * apart), gate_b = load(norm + 3 * apart);
        const bf16* from = x + first_row * apart + channel;
        bf16* to = out + first_row * apart + channel;
        for (long r = 0, end = rows; r < end; ++r, made += 2 * TILE_COLUMNS, from += apart, to += apart) {
            const vec open = opening(load(made + TILE_COLUMNS) * gate_a + gate_b);
            narrow(to, (load(made) * a + b) * open + widened(from));
        }
        rows = 0;
    };
    for (long first = 0; first < count; first += PAIR)
        for (long c = 0; c < apart; c += TILE_COLUMNS, ++turn) {
            const bf16 *upper = inner + first * layer.stride, *weights = layer.widen_tiles() + c / TILE_COLUMNS * depth * 2 * TILE_SIZE;
            clear_pair();
            add_pair_product(upper, upper + TILE_ROWS * layer.stride, line, weights, depth, settle);
            store_pair(work.made[turn % 2]);
            first_row = first, channel = c;
            rows = std::min(PAIR, count - first);
        }
    settle();
}

// One normalised group: x and out [time, channels]. Tiles are shared among threads when the group is the only one.
void group(const bf16* x, bf16* out, long time, const Layer& layer, bool shared) {
    const long tiles = parts(time, TILE), size = TILE * layer.stride;
    Halves inner(tiles * size, bf16{});  // zeros where there is no channel
    std::vector<Moments> squeezed(tiles), wide(tiles);
    const double squeezed_count = double(time) * layer.hidden, wide_count = double(time) * 2 * layer.channels;
#pragma omp parallel if (shared)
    {
        const Tiles configured;
        Work work(layer);
#pragma omp for
        for (long tile = 0; tile < tiles; ++tile) {
            const bf16* from = neighbourhood(x, time, tile * TILE, layer, work.around.data());
            squeeze(from, std::min(TILE, time - tile * TILE), layer, work, &inner[tile * size], squeezed[tile]);
        }
        const Moments first = together(squeezed);
        const float a = first.scale(squeezed_count), b = first.offset(squeezed_count);
#pragma omp for
        for (long tile = 0; tile < tiles; ++tile)
            wide[tile] = activate(&inner[tile * size], layer, std::min(TILE, time - tile * TILE), a, b, work);
        const Moments second = together(wide);
        prepare(layer, second.scale(wide_count), second.offset(wide_count), work.to_wide.data());
#pragma omp for
        for (long tile = 0; tile < tiles; ++tile) {
            const long at = tile * TILE * layer.channels;
            finish(&inner[tile * size], layer, std::min(TILE, time - tile * TILE), work, x + at, out + at);
        }
    }
}

}  // namespace

// As `stemwright_dconv`, in bfloat16.
extern "C" void stemwright_dconv_bf16(const bf16* x, bf16* out, long groups, long time, long channels, long hidden, long layers,
                                      const void* const* learnt) {
    branch(group, x, out, groups, time, channels, hidden, layers, learnt);
}

#endif
