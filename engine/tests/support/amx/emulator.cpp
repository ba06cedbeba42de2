// Intel's AMX on a processor without it, for tests: a library to be preloaded, which catches the illegal instructions that
// bf16 kernels use, computes what the manual says (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2:
// LDTILECFG, TILERELEASE, TILEZERO, TILELOADD, TILESTORED, TDPBF16PS), and goes on behind them. Tiles belong to a thread.
//
// It is as strict as the processor: tiles that the kernel was not asked for, or that were not configured, kill, as any other
// illegal instruction does. With STEMWRIGHT_AMX_COUNTS set, a process says at its end how often it did what.

#include <asm/prctl.h>
#include <dlfcn.h>
#include <immintrin.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int TILES = 8, ROWS = 16, BYTES = 64;
constexpr long ASK = 0x1023, TILE_DATA = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA

struct State {
    bool configured;
    uint16_t bytes[TILES];  // of a row
    uint8_t rows[TILES];
    alignas(64) uint8_t data[TILES][ROWS][BYTES];
};

// Allocated with the thread: nothing may be allocated in a signal handler.
thread_local State state __attribute__((tls_model("initial-exec")));
std::atomic<bool> allowed{false};
std::atomic<uint64_t> products, loads, stores, configurations;

typedef float Floats __attribute__((vector_size(BYTES)));
typedef uint32_t Words __attribute__((vector_size(BYTES)));

// The made tile of 16 columns gets src1 [m, pairs] @ src2 [pairs, columns]: for every element two chains of fused
// multiply-adds, over the first and the second of each pair; denormals are zeros, and MXCSR says so while this runs.
bool multiply(int made, int one, int other) {
    const int m = state.rows[made], pairs = state.bytes[one] / 4;
    const bool fits = state.rows[one] == m && state.rows[other] == pairs && state.bytes[other] == state.bytes[made];
    if (!state.configured || !fits || made == one || made == other || one == other) return false;
    Floats first[ROWS], second[ROWS];
    for (int k = 0; k < pairs; ++k) {
        Words both;
        std::memcpy(&both, state.data[other][k], BYTES);
        first[k] = (Floats)(both << 16);
        second[k] = (Floats)(both & 0xffff0000u);
    }
    for (int row = 0; row < m; ++row) {
        __m512 sums = _mm512_setzero_ps(), others = _mm512_setzero_ps();
        const auto* from = reinterpret_cast<const uint32_t*>(state.data[one][row]);
        for (int k = 0; k < pairs; ++k) {
            const Words both = Words{} + from[k];
            sums = _mm512_fmadd_ps((__m512)(both << 16), (__m512)first[k], sums);
            others = _mm512_fmadd_ps((__m512)(both & 0xffff0000u), (__m512)second[k], others);
        }
        auto* to = reinterpret_cast<float*>(state.data[made][row]);
        const __m512 added = _mm512_load_ps(to) + (sums + others);
        std::memcpy(to, &added, state.bytes[made]);
    }
    products.fetch_add(1, std::memory_order_relaxed);
    return true;
}

bool configure(const uint8_t* from) {
    std::memset(&state, 0, sizeof state);
    if (from[0] != 1 || from[1] != 0) return false;  // palette; a load that was interrupted is not known here
    for (int tile = 0; tile < TILES; ++tile) {
        std::memcpy(&state.bytes[tile], from + 16 + 2 * tile, 2);
        state.rows[tile] = from[48 + tile];
        if (state.bytes[tile] > BYTES || state.rows[tile] > ROWS) return false;
    }
    state.configured = true;
    configurations.fetch_add(1, std::memory_order_relaxed);
    return true;
}

bool load(int tile, const uint8_t* from, int64_t stride) {
    if (!state.configured || state.rows[tile] == 0) return false;
    std::memset(state.data[tile], 0, sizeof state.data[tile]);
    for (int row = 0; row < state.rows[tile]; ++row) std::memcpy(state.data[tile][row], from + row * stride, state.bytes[tile]);
    loads.fetch_add(1, std::memory_order_relaxed);
    return true;
}

bool store(int tile, uint8_t* to, int64_t stride) {
    if (!state.configured || state.rows[tile] == 0) return false;
    for (int row = 0; row < state.rows[tile]; ++row) std::memcpy(to + row * stride, state.data[tile][row], state.bytes[tile]);
    stores.fetch_add(1, std::memory_order_relaxed);
    return true;
}

bool clear(int tile) {
    if (!state.configured || state.rows[tile] == 0) return false;
    std::memset(state.data[tile], 0, sizeof state.data[tile]);
    return true;
}

// One instruction, as far as it was read.
struct Instruction {
    const uint8_t* at;  // the next byte
    int extended_reg, extended_index, extended_base, other, prefix, opcode, mod, reg, rm;
};

int64_t general(const ucontext_t* context, int number) {
    static constexpr int WHERE[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return context->uc_mcontext.gregs[WHERE[number]];
}

int64_t displacement(Instruction& read, int bytes) {
    int8_t small;
    int32_t large;
    std::memcpy(&small, read.at, 1);
    std::memcpy(&large, read.at, 4);
    read.at += bytes;
    return bytes == 1 ? small : large;
}

// The address in memory, and the index register's part of it, which tells how far rows are apart.
int64_t address(Instruction& read, const ucontext_t* context, int64_t& stride) {
    stride = 0;
    int64_t base = 0;
    int displaced = read.mod == 1 ? 1 : read.mod == 2 ? 4 : 0;
    if (read.rm == 4) {
        const int sib = *read.at++, index = (sib >> 3 & 7) | read.extended_index, low = sib & 7;
        if (index != 4) stride = general(context, index) << (sib >> 6);
        if (low == 5 && read.mod == 0)
            displaced = 4;
        else
            base = general(context, low | read.extended_base);
    } else if (read.rm == 5 && read.mod == 0) {
        const int64_t from_here = displacement(read, 4);
        return reinterpret_cast<int64_t>(read.at) + from_here;
    } else {
        base = general(context, read.rm | read.extended_base);
    }
    return displaced != 0 ? base + displacement(read, displaced) : base;
}

bool memory_instruction(Instruction& read, const ucontext_t* context) {
    int64_t stride;
    const int64_t at = address(read, context, stride);
    if (read.opcode == 0x49 && read.prefix == 0 && read.reg == 0) return configure(reinterpret_cast<const uint8_t*>(at + stride));
    if (read.opcode != 0x4b || read.rm != 4) return false;
    if (read.prefix == 3 || read.prefix == 1) return load(read.reg, reinterpret_cast<const uint8_t*>(at), stride);
    if (read.prefix == 2) return store(read.reg, reinterpret_cast<uint8_t*>(at), stride);
    return false;
}

// Does one instruction and says where the next one is; null where it is none of AMX's.
const uint8_t* step(const uint8_t* at, const ucontext_t* context) {
    if (at[0] != 0xc4 || (at[1] & 0x1f) != 2 || (at[2] & 0x84) != 0) return nullptr;  // VEX.128.0F38.W0
    Instruction read{at + 5, ~at[1] >> 4 & 8, ~at[1] >> 3 & 8, ~at[1] >> 2 & 8, ~at[2] >> 3 & 15, at[2] & 3, at[3],
                     at[4] >> 6, at[4] >> 3 & 7, at[4] & 7};
    bool done = false;
    if (read.opcode == 0x5c && read.prefix == 2 && read.mod == 3 && read.other < TILES)
        done = multiply(read.reg, read.rm, read.other);
    else if (read.opcode == 0x49 && read.mod == 3 && read.prefix == 3 && read.rm == 0)
        done = clear(read.reg);
    else if (read.opcode == 0x49 && read.mod == 3 && read.prefix == 0 && at[4] == 0xc0)
        done = (std::memset(&state, 0, sizeof state), true);
    else if (read.mod != 3 && (read.opcode == 0x49 || read.opcode == 0x4b))
        done = memory_instruction(read, context);
    return done ? read.at : nullptr;
}

void on_illegal_instruction(int, siginfo_t*, void* given) {
    auto* context = static_cast<ucontext_t*>(given);
    greg_t& here = context->uc_mcontext.gregs[REG_RIP];
    _mm_setcsr(0x9fc0);  // no exceptions, to nearest even, denormals are zeros; ours until the return
    const auto* at = reinterpret_cast<const uint8_t*>(here);
    const uint8_t* next = allowed.load(std::memory_order_relaxed) ? step(at, context) : nullptr;
    if (next == nullptr) {
        signal(SIGILL, SIG_DFL);
        raise(SIGILL);
    }
    while (next != nullptr) {  // what follows at once needs no second signal
        at = next;
        next = step(at, context);
    }
    here = reinterpret_cast<greg_t>(at);
}

__attribute__((constructor)) void begin() {
    struct sigaction action = {};
    action.sa_sigaction = on_illegal_instruction;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGILL, &action, nullptr);
}

__attribute__((destructor)) void end() {
    if (getenv("STEMWRIGHT_AMX_COUNTS") == nullptr || products == 0) return;
    fprintf(stderr, "tile products %lu, loads %lu, stores %lu, configurations %lu\n", products.load(), loads.load(),
            stores.load(), configurations.load());
}

}  // namespace

// What the kernels ask leave with; all else goes to the C library.
extern "C" long syscall(long number, ...) noexcept {
    long given[6];
    va_list rest;
    va_start(rest, number);
    for (long& each : given) each = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_arch_prctl && given[0] == ASK && given[1] == TILE_DATA) {
        allowed = true;
        return 0;
    }
    static const auto real = reinterpret_cast<long (*)(long, ...)>(dlsym(RTLD_NEXT, "syscall"));
    return real(number, given[0], given[1], given[2], given[3], given[4], given[5]);
}
