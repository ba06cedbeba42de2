// What the kernels of the residual branch share: what a layer has learnt, and the moments of a group.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "vectors.h"

// Sum and sum of squares, and what a norm makes of them: x * gain + bias becomes x * a * gain + (b * gain + bias).
struct Moments {
    static constexpr double EPSILON = 1e-5;
    double sum = 0, squares = 0;

    float scale(double count) const {
        const double mean = sum / count;
        return static_cast<float>(1 / std::sqrt(std::max(squares / count - mean * mean, 0.0) + EPSILON));
    }
    float offset(double count) const { return static_cast<float>(-sum / count * scale(count)); }
};

// Added up in the order of the tiles, whichever thread did them: the same input gives the same bytes.
inline Moments together(const std::vector<Moments>& parts) {
    Moments made;
    for (const Moments& part : parts) {
        made.sum += part.sum;
        made.squares += part.squares;
    }
    return made;
}

// As many as are a multiple of `to`.
inline Floats padded_with_zeros(const float* from, long count, long to) {
    Floats made(rounded_up(count, to), 0.0f);
    std::copy(from, from + count, made.begin());
    return made;
}

// A layer's tensors in their order, see `fused.learnt`; the kernels in 16 bits take the two weights as `amx.learnt` gives them.
struct Learnt {
    static constexpr long COUNT = 10;
    const void* squeeze;
    const float *squeeze_bias, *gain1, *bias1;
    const void* widen;
    const float *widen_bias, *gain2, *bias2;  // [2 * channels]
    const float* scale;                       // [channels]
    const float* moments;                     // [hidden + 2][hidden + 1]

    explicit Learnt(const void* const* each)
        : squeeze(each[0]), squeeze_bias(floats_of(each[1])), gain1(floats_of(each[2])), bias1(floats_of(each[3])), widen(each[4]),
          widen_bias(floats_of(each[5])), gain2(floats_of(each[6])), bias2(floats_of(each[7])), scale(floats_of(each[8])),
          moments(floats_of(each[9])) {}

  private:
    static const float* floats_of(const void* numbers) { return static_cast<const float*>(numbers); }
};

// Moments of the widened channels, which the norm after them needs before they are computed, of the activated ones they are made
// of, [count][padded]: with y = W g, the sum of y'y over all samples is that of the elements of W'W times those of the sum of gg'.
inline Moments wide_moments(const float* activated, long count, long hidden, long padded, const float* moments) {
    constexpr long CORNER = 8;  // rows of a matrix whose sums stay in registers
    const long row = hidden + 1;
    Moments made{count * double(moments[row * row + hidden]), count * double(moments[hidden * row + hidden])};
    for (long h = 0; h < hidden; h += WIDTH)
        for (long i = 0; i < hidden; i += CORNER) {
            vec products[CORNER] = {}, sums{};
            for (long t = 0; t < count; ++t) {
                const float* x = activated + t * padded;
                const vec column = load(x + h);
                for (long r = 0; r < CORNER; ++r) products[r] += x[i + r] * column;
                sums += column;
            }
            for (long r = 0; r < CORNER && i + r < hidden; ++r)
                for (long c = 0; c < WIDTH && h + c < hidden; ++c)
                    made.squares += double(products[r][c]) * moments[(i + r) * row + h + c];
            for (long c = 0; i == 0 && c < WIDTH && h + c < hidden; ++c) {
                made.squares += 2.0 * sums[c] * moments[hidden * row + h + c];
                made.sum += double(sums[c]) * moments[row * row + h + c];
            }
        }
    return made;
}

// Every group goes through all layers while it is in the cache: from the second on in place. `one` takes a group through a layer;
// the last argument says whether its threads share the work, since there is no other group.
template <typename Number, typename Layer>
void branch(void (*one)(const Number*, Number*, long, const Layer&, bool), const Number* x, Number* out, long groups, long time,
            long channels, long hidden, long layers, const void* const* learnt) {
    std::vector<Layer> each;
    for (long i = 0; i < layers; ++i) each.emplace_back(Learnt(learnt + i * Learnt::COUNT), channels, hidden, 1L << i);
    const long size = time * channels;
#pragma omp parallel for schedule(dynamic) if (groups > 1)
    for (long i = 0; i < groups; ++i) {
        Number* to = out + i * size;
        for (const Layer& layer : each) one(&layer == each.data() ? x + i * size : to, to, time, layer, groups == 1);
    }
}
