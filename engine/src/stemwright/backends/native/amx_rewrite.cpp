// The gate of Demucs's decoder (`stemwright.models.layers.Rewrite`) in bfloat16, by tiles (`amx.h`): GLU(convolution(x + skip)
// + bias), of three samples of time, or three rows by three samples.
//
// Three samples with all their channels lie behind each other in memory, so that a row of the kernel is one matrix product.
// A block of the sum is made in the second cache, with zeros around where the tensor ends, and all products read it there.
// Two strips of 16 samples by 16 values and the 16 gates of these are computed at a time; while tiles do, vectors close the
// gates of the strips before.

#include "amx.h"

#ifdef STEMWRIGHT_AMX

#include <omp.h>

#include <algorithm>

namespace {

constexpr long TAPS = 3;                          // samples of the kernel
constexpr long PANEL = 2 * TILE_COLUMNS;          // output channels of one product: values, and the gates of the same
constexpr long PAIR = 2 * TILE_ROWS;              // samples of one product
constexpr long ROWS = 8;                          // of a block, where the kernel has several
constexpr long BLOCK_BYTES = 384 * 1024;          // of a sum, beside the weights in a second cache of 2 MB
constexpr long TASKS = 4;                         // for each thread, so that all end at about the same time

struct Gate {
    const bf16 *x, *skip;  // [batch, rows, frames, channels], as `out`
    bf16* out;
    long batch, rows, frames, channels, kernel_rows;
    const bf16* weights;  // [kernel_rows][channels / 16][depth][value, gate][tile]
    const float* bias;    // [2 * channels]
    long panels = channels / TILE_COLUMNS;
    long depth = parts(TAPS * channels, TILE_DEPTH);  // products that add up a row of the kernel
};

// How the output is divided: blocks of rows and strips, each with all panels or a part of them.
struct Division {
    long rows, strips, down, across, groups;

    explicit Division(const Gate& gate, long threads) {
        const long wanted = TASKS * threads, all = parts(gate.frames, TILE_ROWS);
        rows = gate.kernel_rows > 1 ? std::min(gate.rows, ROWS) : 1;
        down = gate.batch * parts(gate.rows, rows);
        const long fitting = BLOCK_BYTES / (read_rows(gate) * gate.channels * long(sizeof(bf16))) / TILE_ROWS;
        const long least = std::max(1L, ROWS / rows);  // fewer are not worth the reading of the weights
        across = std::max(parts(all, std::max(fitting, 1L)), std::min(parts(wanted, down), parts(all, least)));
        strips = parts(all, across);
        strips += rows % 2 * strips % 2;  // they are computed in pairs
        across = parts(all, strips);
        groups = std::min(parts(wanted, down * across), gate.panels);
    }
    long read_rows(const Gate& gate) const { return rows + gate.kernel_rows - 1; }
    long pitch(const Gate& gate) const { return (strips * TILE_ROWS + TAPS - 1) * gate.channels; }
};

// 16 samples: where their neighbourhood begins in the block's sum, and where they are written. Those behind `count` are not.
struct Strip {
    const bf16* from;
    bf16* to;
    long count;
};

// What the tiles have made of two strips.
struct Made {
    alignas(64) float numbers[PAIR * PANEL];
    Strip strips[2];
    long channel = 0, row = PAIR;  // the first channel, and the next row to be finished
};

void finish(const Gate& gate, Made& made, long until) {
    const long apart = gate.channels;
    const vec bias = load(gate.bias + made.channel), gate_bias = load(gate.bias + apart + made.channel) * -LOG2_E;
    while (made.row < until) {
        const Strip& strip = made.strips[made.row / TILE_ROWS];
        const long first = made.row % TILE_ROWS, end = std::min(first + until - made.row, TILE_ROWS);
        const float* numbers = made.numbers + made.row * PANEL;
        bf16* to = strip.to + first * apart + made.channel;
        for (long i = first, last = std::min(end, strip.count); i < last; ++i, numbers += PANEL, to += apart)
            narrow(to, (load(numbers) + bias) * opening(load(numbers + TILE_COLUMNS) * -LOG2_E + gate_bias));
        made.row += end - first;
    }
}

// Two strips by one panel, and meanwhile the gates of what was made before.
void multiply(const Gate& gate, long pitch, long panel, Made& made, Made& before) {
    const long apart = gate.channels * sizeof(bf16);
    Pace pace{PAIR, gate.kernel_rows * gate.depth};
    clear_pair();
    for (long r = 0; r < gate.kernel_rows; ++r) {
        const bf16 *upper = made.strips[0].from + r * pitch, *lower = made.strips[1].from + r * pitch;
        const bf16* weights = gate.weights + (r * gate.panels + panel) * gate.depth * 2 * TILE_SIZE;
        add_pair_product(upper, lower, apart, weights, gate.depth, [&] { finish(gate, before, pace.next()); });
    }
    store_pair(made.numbers);
    made.row = 0;
}

// The sum of `count` numbers, a multiple of 16.
void add(const bf16* x, const bf16* skip, long count, bf16* to) {
    for (long i = 0; i < count; i += WIDTH) narrow(to + i, widened(x + i) + widened(skip + i));
}

// One block: its place, and the sum around it.
struct Block {
    const Gate& gate;
    const Division& division;
    long entry, row, frame, rows, strips;
    bf16* sum;  // [rows and those around][samples and those around][channels]

    Block(const Gate& of, const Division& by, long index, bf16* memory) : gate(of), division(by), sum(memory) {
        const long each = division.down / gate.batch, line = index / division.across;
        entry = line / each;
        row = line % each * division.rows;
        frame = index % division.across * division.strips * TILE_ROWS;
        rows = std::min(division.rows, gate.rows - row);
        strips = std::min(division.strips, parts(gate.frames - frame, TILE_ROWS));
    }

    void read() {
        const long pitch = division.pitch(gate), lead = gate.kernel_rows / 2, channels = gate.channels;
        const long first = std::max(frame - 1, 0L), last = std::min(frame + strips * TILE_ROWS + 1, gate.frames);
        for (long i = 0; i < rows + gate.kernel_rows - 1; ++i) {
            bf16* to = sum + i * pitch;
            const long from = row - lead + i;
            if (from < 0 || from >= gate.rows) {
                std::fill(to, to + pitch, bf16{});
                continue;
            }
            const long at = ((entry * gate.rows + from) * gate.frames + first) * channels;
            const long before = (first - (frame - 1)) * channels, count = (last - first) * channels;
            std::fill(to, to + before, bf16{});
            add(gate.x + at, gate.skip + at, count, to + before);
            std::fill(to + before + count, to + pitch, bf16{});
        }
    }

    // Row after row; one behind the last is written nowhere.
    Strip strip(long index) const {
        if (index >= rows * strips) return {sum, gate.out, 0};
        const long r = index / strips, f = index % strips * TILE_ROWS;
        const long at = ((entry * gate.rows + row + r) * gate.frames + frame + f) * gate.channels;
        return {sum + r * division.pitch(gate) + f * gate.channels, gate.out + at, std::min(TILE_ROWS, gate.frames - frame - f)};
    }
};

void compute(Block block, long first_panel, long last_panel) {
    const Gate& gate = block.gate;
    const long pitch = block.division.pitch(gate);
    Made made[2];
    long turn = 0;
    block.read();
    for (long panel = first_panel; panel < last_panel; ++panel)
        for (long index = 0; index < block.rows * block.strips; index += 2, ++turn) {
            Made& now = made[turn % 2];
            now.strips[0] = block.strip(index);
            now.strips[1] = block.strip(index + 1);
            now.channel = panel * TILE_COLUMNS;
            multiply(gate, pitch, panel, now, made[1 - turn % 2]);
        }
    finish(gate, made[1 - turn % 2], PAIR);
}

}  // namespace

// As `stemwright_rewrite`, in bfloat16, but for `weights`: as `amx.packed` gives them, for a kernel of one row or three.
extern "C" void stemwright_rewrite_bf16(const bf16* x, const bf16* skip, bf16* out, long batch, long rows, long frames, long channels,
                                        long kernel_rows, const bf16* weights, const float* bias) {
    const Gate gate{x, skip, out, batch, rows, frames, channels, kernel_rows, weights, bias};
    const Division division(gate, omp_get_max_threads());
    const long blocks = division.down * division.across, size = division.read_rows(gate) * division.pitch(gate) + TILE_DEPTH;
#pragma omp parallel
    {
        const Tiles tiles;
        Halves memory(size, bf16{});  // products read a little further than sums go: zeros there
#pragma omp for collapse(2) schedule(dynamic)
        for (long index = 0; index < blocks; ++index)
            for (long group = 0; group < division.groups; ++group)
                compute(Block(gate, division, index, memory.data()), gate.panels * group / division.groups,
                        gate.panels * (group + 1) / division.groups);
    }
}

#endif
