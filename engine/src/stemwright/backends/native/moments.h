// What the kernels of the residual branch share: moments of a group, and numbers filled up to whole vectors.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

using Floats = std::vector<float>;

inline long rounded_up(long n, long to) { return (n + to - 1) / to * to; }

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
