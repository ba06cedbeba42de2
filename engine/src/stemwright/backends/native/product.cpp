// Linear layers and strided convolutions in integers of 16 bits: AVX512-VNNI multiplies and adds them up twice as fast as
// floats.
//
// Each row of the left factor gets a scale of its own when it is read, and each column of the weights got one before, in
// `integers.py`: so large that no sum leaves its 32 bits, which Cauchy and Schwarz promise if the norms of both, multiplied,
// are below 2^31.

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "vectors.h"

namespace {

constexpr long HALF = 16;         // columns that are written together
constexpr long PANEL = 2 * HALF;  // columns of the weights that lie together, see `integers.packed`
constexpr long ROWS = WIDTH < HALF ? 6 : 12;  // whose sums with two vectors of columns stay in registers
constexpr long BLOCK = 96;        // rows that a thread makes integers of at once, at most; a multiple of ROWS
constexpr long AHEAD = 16;        // pairs of weights that are fetched before they are needed
constexpr long LINE = 16;         // pairs between rows: rows 4096 bytes apart would push each other out of the cache
// Of a row, as in `integers.py`. 46000^2 leaves room below 2^31: rounding adds up to half the root of the depth to a norm.
constexpr float NORM = 46000.0f, LARGEST = 32767.0f;

enum Activation : long { NONE, GELU, GLU };

struct Layer {
    long axis, inner, channels;  // of the input; rows of the left factor gather `kernel` neighbours on the axis
    long outputs, kernel, stride, padding;
    long spread, crop, length;  // places on the output's axis for each row, those left out at its beginning, and those kept
    Activation activation;
    const int32_t* weight;  // pairs of integers of 16 bits
    const float *scales, *bias;

    long pairs() const { return depth() / 2; }
    long depth() const { return rounded_up(kernel * channels, HALF); }
    long columns() const { return spread * outputs * (activation == GLU ? 2 : 1); }
    long rows() const { return parts(length + crop, spread) * inner; }
};

typedef int16_t halves __attribute__((vector_size(2 * WIDTH)));

// Adds the two products of neighbours in each lane.
inline ivec dot(ivec sum, ivec a, ivec b) {
#if defined(__AVX512VNNI__)
    return (ivec)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(__AVX512BW__)
    return sum + (ivec)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVXVNNI__) && !defined(__AVX512F__)
    return (ivec)_mm256_dpwssd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b);
#elif defined(__AVX2__) && !defined(__AVX512F__)
    return sum + (ivec)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
    return sum + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
#endif
}

// ROWS rows of integers in pairs, times a vector of columns of each half of a panel: to [ROWS][PANEL].
void product(const int32_t* left, long stride, const int32_t* right, long pairs, int32_t* out) {
    ivec sums[ROWS][2] = {};
    for (long k = 0; k < pairs; ++k) {
        ivec columns[2];
        std::memcpy(&columns[0], right + k * PANEL, sizeof(ivec));
        std::memcpy(&columns[1], right + k * PANEL + HALF, sizeof(ivec));
        __builtin_prefetch(right + (k + AHEAD) * PANEL);
        __builtin_prefetch(right + (k + AHEAD) * PANEL + HALF);
#pragma GCC unroll 16
        for (long r = 0; r < ROWS; ++r) {
            const ivec row = ivec{} + left[r * stride + k];
            sums[r][0] = dot(sums[r][0], row, columns[0]);
            sums[r][1] = dot(sums[r][1], row, columns[1]);
        }
    }
    for (long r = 0; r < ROWS; ++r)
        for (long half = 0; half < 2; ++half) std::memcpy(out + r * PANEL + half * HALF, &sums[r][half], sizeof(ivec));
}

// Integers of a row's numbers, `depth` of them, in pairs; returns what one is worth. Norms are those of floats: 1e-19 to 1e19.
float integers(const float* row, long depth, int32_t* out) {
    vec squares{}, peaks{};
    for (long i = 0; i < depth; i += WIDTH) {
        const vec x = load(row + i);
        squares += x * x;
        peaks = larger(peaks, x < 0.0f ? -x : x);
    }
    const float norm = std::sqrt(total(squares));
    if (!(norm > 0 && norm < std::numeric_limits<float>::infinity())) {
        std::fill(out, out + depth / 2, 0);
        return norm == 0 ? 0 : std::numeric_limits<float>::quiet_NaN();
    }
    const float scale = std::min(NORM / norm, LARGEST / largest(peaks));
    for (long i = 0; i < depth; i += WIDTH) {
        const ivec rounded = (ivec)(load(row + i) * scale + 12582912.0f);  // 1.5 * 2^23: the integer is left in the low bits
        const halves low = __builtin_convertvector(rounded, halves);
        std::memcpy(out + i / 2, &low, sizeof low);
    }
    return 1 / scale;
}

// A block of rows of the left factor as integers, and where their products go.
class Block {
  public:
    explicit Block(const Layer& layer)
        : layer_(layer), stride_(layer.pairs() + LINE), gathered_(layer.depth(), 0.0f), left_(BLOCK * stride_, 0) {}

    void read(const float* x, long first, long count) {
        for (long r = 0; r < count; ++r) {
            const long place = (first + r) / layer_.inner, between = (first + r) % layer_.inner;
            starts_[r] = (place * layer_.spread - layer_.crop) * layer_.inner + between;
            const float* row = gather(x, place * layer_.stride - layer_.padding, between);
            scales_[r] = integers(row, layer_.depth(), left_.data() + r * stride_);
        }
        count_ = count;
    }

    // The columns of one panel, written where they belong.
    void multiply(long panel, float* out) {
        aim(panel);
        const long pairs = layer_.pairs();
        const int32_t* right = layer_.weight + panel * pairs * PANEL;
        for (long r = 0; r < count_; r += ROWS) {
            alignas(64) int32_t sums[ROWS * PANEL];
            for (long v = 0; v < HALF; v += WIDTH) product(left_.data() + r * stride_, stride_, right + v, pairs, sums + v);
            for (long i = r; i < std::min(r + ROWS, count_); ++i) finish(sums + (i - r) * PANEL, i, panel * PANEL, out);
        }
    }

  private:
    // The row that begins at this place on the axis: a copy where it does not lie together.
    const float* gather(const float* x, long place, long between) {
        const long size = layer_.channels, end = place + layer_.kernel;
        if (layer_.inner == 1 && place >= 0 && end <= layer_.axis && layer_.kernel * size == layer_.depth())
            return x + place * size;
        for (float* to = gathered_.data(); place < end; ++place, to += size)
            if (place < 0 || place >= layer_.axis) std::fill(to, to + size, 0.0f);
            else copy(x + (place * layer_.inner + between) * size, size, to);
        return gathered_.data();
    }

    // Few numbers mostly, so that a call would cost more than the copy.
    static void copy(const float* from, long count, float* to) {
        long i = 0;
        for (; i + HALF <= count; i += HALF) std::memcpy(to + i, from + i, HALF * sizeof(float));
        for (; i + 4 <= count; i += 4) std::memcpy(to + i, from + i, 4 * sizeof(float));
        for (; i < count; ++i) to[i] = from[i];
    }

    void finish(const int32_t* sums, long row, long column, float* out) const {
        alignas(64) float made[PANEL];
        for (long v = 0; v < PANEL; v += WIDTH) {
            ivec sum;
            std::memcpy(&sum, sums + v, sizeof sum);
            const vec scale = scales_[row] * load(layer_.scales + column + v);
            const vec y = __builtin_convertvector(sum, vec) * scale + load(layer_.bias + column + v);
            store(made + v, layer_.activation == GELU ? gelu(y) : y);
        }
        if (layer_.activation == GLU)
            for (long v = 0; v < HALF; v += WIDTH) store(made + v, load(made + v) * sigmoid(load(made + HALF + v)));
        put(made, row, out);
    }

    // Where the columns of a panel belong: those of different places on the output's axis lie apart.
    void aim(long panel) {
        const long count = layer_.activation == GLU ? HALF : PANEL, size = layer_.outputs;
        pieces_.clear();
        for (long lane = 0; lane < count && panel * count + lane < layer_.spread * size;) {
            const long column = panel * count + lane, channel = column % size;
            const long together = std::min({count - lane, HALF - lane % HALF, size - channel});
            pieces_.push_back({lane, together, column / size * layer_.inner, channel});
            lane += together;
        }
    }

    void put(const float* made, long row, float* out) const {
        for (const Piece& piece : pieces_) {
            const long start = starts_[row] + piece.place;
            if (start < 0 || start >= layer_.length * layer_.inner) continue;
            float* to = out + start * layer_.outputs + piece.channel;
            if (piece.count < HALF) copy(made + piece.lane, piece.count, to);
            else for (long v = 0; v < HALF; v += WIDTH) store_past_cache(to + v, load(made + piece.lane + v));
        }
    }

    struct Piece {
        long lane, count, place, channel;
    };

    const Layer& layer_;
    const long stride_;
    Floats gathered_;
    std::vector<int32_t, InLines<int32_t>> left_;
    float scales_[BLOCK] = {};
    long starts_[BLOCK] = {};
    long count_ = 0;
    std::vector<Piece> pieces_;
};

}  // namespace

// `x` [batch, axis, inner, channels] to `out` [batch, length, inner, outputs]; weights as `integers.packed` gives them.
extern "C" void stemwright_product(const float* x, float* out, long batch, long axis, long inner, long channels, long outputs,
                                   long kernel, long stride, long padding, long spread, long crop, long length, long activation,
                                   const int32_t* weight, const float* scales, const float* bias) {
    const auto activated = static_cast<Activation>(activation);
    const Layer layer{axis,   inner, channels, outputs, kernel, stride, padding,
                      spread, crop,  length,   activated, weight, scales, bias};
    // Few rows are shared out evenly among many threads.
    const long size = std::min(BLOCK, rounded_up(parts(batch * layer.rows(), omp_get_max_threads()), ROWS));
    const long blocks = parts(layer.rows(), size), panels = parts(layer.columns(), PANEL);
#pragma omp parallel
    {
        Block block(layer);
#pragma omp for schedule(dynamic)
        for (long task = 0; task < batch * blocks; ++task) {
            const long entry = task / blocks, first = task % blocks * size;
            block.read(x + entry * axis * inner * channels, first, std::min(size, layer.rows() - first));
            for (long panel = 0; panel < panels; ++panel) block.multiply(panel, out + entry * length * inner * outputs);
            stored();
        }
    }
}
