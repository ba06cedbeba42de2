// Demucs's residual branch (`stemwright.models.layers.DConv`) in float32, tile by tile in the cache. A layer:
// dilated convolution to a few channels, norm, GELU, back to twice the channels, norm, GLU, gain, added to the input.
//
// torch writes and reads each of these steps in whole; here a row of the spectrogram hardly leaves the cache, and goes through
// all layers there. The wide tensor before the last norm is never stored. Vectors lie along the channels, as the tensors do.

#include <algorithm>

#include "residual.h"
#include "vectors.h"

namespace {

constexpr long TILE = 96;         // samples of time: a multiple of both numbers of rows below
constexpr long SQUEEZE_ROWS = 8;  // samples of time whose sums stay in registers
constexpr long WIDEN_ROWS = 6;

// What a layer has learnt, in the order in which it is read.
struct Layer : Learnt {
    long channels, hidden, dilation;
    long padded = rounded_up(hidden, WIDTH);  // hidden channels as whole vectors; those that pad stay zero
    Floats taps;                              // [padded / WIDTH][3][channels][WIDTH]
    Floats hidden_bias, hidden_gain1, hidden_bias1;  // [padded]
    Floats panels;                            // [channels / WIDTH][hidden][value, gate][WIDTH]

    Layer(const Learnt& learnt, long channels, long hidden, long dilation)
        : Learnt(learnt), channels(channels), hidden(hidden), dilation(dilation),
          hidden_bias(padded_with_zeros(learnt.squeeze_bias, hidden, WIDTH)), hidden_gain1(padded_with_zeros(learnt.gain1, hidden, WIDTH)),
          hidden_bias1(padded_with_zeros(learnt.bias1, hidden, WIDTH)) {
        pack(static_cast<const float*>(learnt.squeeze), static_cast<const float*>(learnt.widen));
    }

    void pack(const float* squeeze, const float* widen) {
        taps.assign(padded * 3 * channels, 0);
        for (long h = 0; h < hidden; ++h)
            for (long c = 0; c < channels; ++c)
                for (long k = 0; k < 3; ++k)
                    taps[((h / WIDTH * 3 + k) * channels + c) * WIDTH + h % WIDTH] = squeeze[(h * channels + c) * 3 + k];
        panels.resize(2 * channels * hidden);
        for (long c = 0; c < 2 * channels; ++c)
            for (long h = 0; h < hidden; ++h) {
                const long within = c % channels;
                panels[((within / WIDTH * hidden + h) * 2 + c / channels) * WIDTH + within % WIDTH] = widen[c * hidden + h];
            }
    }
};

// ROWS samples of time at one vector of hidden channels; each tap `k` may be left out where it lies outside of the row.
template <int ROWS>
inline void squeeze_block(const float* x, const Layer& layer, long h, const bool (&inside)[3], float* out) {
    vec sums[ROWS];
    for (int r = 0; r < ROWS; ++r) sums[r] = load(&layer.hidden_bias[h]);
    for (long k = 0; k < 3; ++k) {
        if (!inside[k]) continue;
        const float* from = x + (k - 1) * layer.dilation * layer.channels;
        const float* weights = &layer.taps[(h / WIDTH * 3 + k) * layer.channels * WIDTH];
        for (long c = 0; c < layer.channels; ++c) {
            const vec weight = load(weights + c * WIDTH);
            for (int r = 0; r < ROWS; ++r) sums[r] += from[r * layer.channels + c] * weight;
        }
    }
    for (int r = 0; r < ROWS; ++r) store(out + r * layer.padded + h, sums[r]);
}

// First pass over a tile: the squeezed channels [tile, padded] and their moments.
void squeeze(const float* x, long time, long first, long count, const Layer& layer, float* out, Moments& moments) {
    const long d = layer.dilation;
    for (long t = first; t < first + count;) {
        const bool whole = t >= d && t + SQUEEZE_ROWS + d <= time && t + SQUEEZE_ROWS <= first + count;
        const bool inside[3] = {t >= d, true, t + d < time};
        const float* from = x + t * layer.channels;
        float* to = out + (t - first) * layer.padded;
        for (long h = 0; h < layer.padded; h += WIDTH)
            if (whole)
                squeeze_block<SQUEEZE_ROWS>(from, layer, h, inside, to);
            else
                squeeze_block<1>(from, layer, h, inside, to);
        t += whole ? SQUEEZE_ROWS : 1;
    }
    vec sum{}, squares{};
    for (long i = 0; i < count * layer.padded; i += WIDTH) {
        const vec y = load(out + i);
        sum += y;
        squares += y * y;
    }
    moments.sum += total(sum);
    moments.squares += total(squares);
}

// A vector of channels of the widened tensor, and the one that gates it, at ROWS samples of time.
template <int ROWS>
inline void widen_block(const float* inner, const Layer& layer, long c, vec (&value)[ROWS], vec (&gate)[ROWS]) {
    for (int r = 0; r < ROWS; ++r) {
        value[r] = load(layer.widen_bias + c);
        gate[r] = load(layer.widen_bias + layer.channels + c);
    }
    const float* weights = &layer.panels[c * layer.hidden * 2];
    for (long h = 0; h < layer.hidden; ++h) {
        const vec of_value = load(weights + 2 * h * WIDTH), of_gate = load(weights + (2 * h + 1) * WIDTH);
        for (int r = 0; r < ROWS; ++r) {
            const float x = inner[r * layer.padded + h];
            value[r] += x * of_value;
            gate[r] += x * of_gate;
        }
    }
}

// Second pass over a tile: norm and GELU in place, and the moments of the widened channels.
Moments activate(float* inner, const Layer& layer, long count, float scale, float offset) {
    for (long h = 0; h < layer.padded; h += WIDTH) {
        const vec a = scale * load(&layer.hidden_gain1[h]), b = offset * load(&layer.hidden_gain1[h]) + load(&layer.hidden_bias1[h]);
        for (long t = 0; t < count; ++t) store(inner + t * layer.padded + h, gelu(load(inner + t * layer.padded + h) * a + b));
    }
    return wide_moments(inner, count, layer.hidden, layer.padded, layer.moments);
}

// What the second norm does to a vector of channels and to its gate.
struct Norm {
    vec a, b, gate_a, gate_b, gain;

    Norm(const Layer& layer, long c, float scale, float offset) {
        const float *gain2 = layer.gain2 + c, *bias2 = layer.bias2 + c;
        a = scale * load(gain2);
        b = offset * load(gain2) + load(bias2);
        gate_a = scale * load(gain2 + layer.channels);
        gate_b = offset * load(gain2 + layer.channels) + load(bias2 + layer.channels);
        gain = load(layer.scale + c);
    }
};

template <int ROWS>
inline void finish_block(const float* inner, const Layer& layer, long c, const Norm& norm, const float* x, float* out) {
    vec value[ROWS], gate[ROWS];
    widen_block<ROWS>(inner, layer, c, value, gate);
    for (int r = 0; r < ROWS; ++r) {
        const vec gated = (value[r] * norm.a + norm.b) * sigmoid(gate[r] * norm.gate_a + norm.gate_b);
        store(out + r * layer.channels + c, load(x + r * layer.channels + c) + norm.gain * gated);
    }
}

// Third pass over a tile: the widened channels again, norm, GLU, gain, added to the input.
void finish(const float* inner, const Layer& layer, long count, float scale, float offset, const float* x, float* out) {
    for (long c = 0; c < layer.channels; c += WIDTH) {
        const Norm norm(layer, c, scale, offset);
        long t = 0;
        for (; t + WIDEN_ROWS <= count; t += WIDEN_ROWS)
            finish_block<WIDEN_ROWS>(inner + t * layer.padded, layer, c, norm, x + t * layer.channels, out + t * layer.channels);
        for (; t < count; ++t)
            finish_block<1>(inner + t * layer.padded, layer, c, norm, x + t * layer.channels, out + t * layer.channels);
    }
}

// One normalised group: x and out [time, channels]. Tiles are shared among threads when the group is the only one.
void group(const float* x, float* out, long time, const Layer& layer, bool shared) {
    const long tiles = parts(time, TILE), size = TILE * layer.padded;
    const double squeezed_count = static_cast<double>(time) * layer.hidden, widened_count = 2.0 * time * layer.channels;
    Floats inner(tiles * size);
    std::vector<Moments> squeezed(tiles), widened(tiles);
#pragma omp parallel if (shared)
    {
#pragma omp for
        for (long tile = 0; tile < tiles; ++tile)
            squeeze(x, time, tile * TILE, std::min(TILE, time - tile * TILE), layer, &inner[tile * size], squeezed[tile]);
        const Moments first = together(squeezed);
        const float a1 = first.scale(squeezed_count), b1 = first.offset(squeezed_count);
#pragma omp for
        for (long tile = 0; tile < tiles; ++tile)
            widened[tile] = activate(&inner[tile * size], layer, std::min(TILE, time - tile * TILE), a1, b1);
        const Moments second = together(widened);
        const float a2 = second.scale(widened_count), b2 = second.offset(widened_count);
#pragma omp for
        for (long tile = 0; tile < tiles; ++tile) {
            const long at = tile * TILE * layer.channels;
            finish(&inner[tile * size], layer, std::min(TILE, time - tile * TILE), a2, b2, x + at, out + at);
        }
    }
}

}  // namespace

// x and out [groups, time, channels]; each group is normalised by itself. `channels` is a multiple of 16. `learnt`: what `Learnt`
// holds, of one layer after the other.
extern "C" void stemwright_dconv(const float* x, float* out, long groups, long time, long channels, long hidden, long layers,
                                 const void* const* learnt) {
    branch(group, x, out, groups, time, channels, hidden, layers, learnt);
}
