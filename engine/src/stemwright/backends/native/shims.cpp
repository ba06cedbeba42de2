// The kernels as a compiled network calls them: on torch's tensors, through the C interface that torch keeps stable for
// such networks (torch/csrc/inductor/aoti_torch/c/shim.h), so that neither Python nor torch's operators stand between.

#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <vector>

#include "amx.h"
#include "residual.h"

extern "C" void stemwright_dconv(const float* x, float* out, long groups, long time, long channels, long hidden, long layers,
                                 const void* const* learnt);
extern "C" void stemwright_attention(const float* q, const float* k, const float* v, float* out, long batch, long heads,
                                     long queries, long keys, long query_stride, long key_stride);
extern "C" void stemwright_rewrite(const float* x, const float* skip, float* out, long batch, long rows, long frames, long channels,
                                   long points, const float* weights, const float* bias);
extern "C" void stemwright_product(const float* x, float* out, long batch, long axis, long inner, long channels, long outputs,
                                   long kernel, long stride, long padding, long spread, long crop, long length, long activation,
                                   const int32_t* weight, const float* scales, const float* bias);

// The same in 16 bits, where the compiler knows AMX.
#ifdef STEMWRIGHT_AMX
extern "C" void stemwright_attention_bf16(const bf16* q, const bf16* k, const bf16* v, bf16* out, long batch, long heads,
                                          long queries, long keys, long query_stride, long key_stride);
extern "C" void stemwright_rewrite_bf16(const bf16* x, const bf16* skip, bf16* out, long batch, long rows, long frames, long channels,
                                        long kernel_rows, const bf16* weights, const float* bias);
extern "C" void stemwright_dconv_bf16(const bf16* x, bf16* out, long groups, long time, long channels, long hidden, long layers,
                                      const void* const* learnt);
extern "C" int stemwright_tiles_allowed() { return tiles_allowed(); }
#endif

namespace {

constexpr int64_t MOST = 4;  // dimensions

template <typename Number>
struct View {
    const Number* data = nullptr;
    int64_t *sizes = nullptr, *strides = nullptr;

    explicit View(AtenTensorHandle tensor) {
        void* found = nullptr;
        aoti_torch_get_data_ptr(tensor, &found);
        aoti_torch_get_sizes(tensor, &sizes);
        aoti_torch_get_strides(tensor, &strides);
        data = static_cast<const Number*>(found);
    }
};

bool whole(AtenTensorHandle tensor) {
    bool contiguous = false;
    return aoti_torch_is_contiguous(tensor, &contiguous) == AOTI_TORCH_SUCCESS && contiguous;
}

bool in_16_bits(AtenTensorHandle tensor) {
    int32_t type = -1;
    return aoti_torch_get_dtype(tensor, &type) == AOTI_TORCH_SUCCESS && type == aoti_torch_dtype_bfloat16();
}

// Channels follow each other, and batch entries too; rows may lie apart, as parts of one tensor do.
template <typename Number>
bool in_rows(const View<Number>& x) {
    return x.strides[2] == 1 && (x.sizes[0] == 1 || x.strides[0] == x.sizes[1] * x.strides[1]);
}

// A tensor of these sizes without gaps; null where there is no memory.
template <typename Number>
Number* empty(const int64_t* sizes, int64_t dims, AtenTensorHandle* made) {
    int64_t strides[MOST];
    int64_t stride = 1;
    for (int64_t i = dims - 1; i >= 0; stride *= sizes[i--]) strides[i] = stride;
    void* data = nullptr;
    const int32_t type = sizeof(Number) == sizeof(float) ? aoti_torch_dtype_float32() : aoti_torch_dtype_bfloat16();
    const AOTITorchError status = aoti_torch_empty_strided(dims, sizes, strides, type, aoti_torch_device_type_cpu(), 0, made);
    if (status == AOTI_TORCH_SUCCESS) aoti_torch_get_data_ptr(*made, &data);
    return static_cast<Number*>(data);
}

template <typename Number, typename Kernel>
AOTITorchError dconv(Kernel* kernel, AtenTensorHandle x, const AtenTensorHandle* learnt, int64_t count, AtenTensorHandle* made) {
    if (count % Learnt::COUNT != 0 || !whole(x)) return AOTI_TORCH_FAILURE;
    std::vector<const void*> each;
    for (int64_t i = 0; i < count; ++i) {
        if (!whole(learnt[i])) return AOTI_TORCH_FAILURE;
        each.push_back(View<void>(learnt[i]).data);
    }
    const View<Number> in(x);
    Number* out = empty<Number>(in.sizes, 4, made);
    if (out == nullptr) return AOTI_TORCH_FAILURE;
    kernel(in.data, out, in.sizes[0] * in.sizes[1], in.sizes[2], in.sizes[3], View<float>(learnt[2]).sizes[0],
           count / Learnt::COUNT, each.data());
    return AOTI_TORCH_SUCCESS;
}

template <typename Number, typename Kernel>
AOTITorchError attention(Kernel* kernel, AtenTensorHandle query, AtenTensorHandle key, AtenTensorHandle value, int64_t heads,
                         AtenTensorHandle* made) {
    const View<Number> q(query), k(key), v(value);
    if (!in_rows(q) || !in_rows(k) || !in_rows(v) || k.strides[1] != v.strides[1]) return AOTI_TORCH_FAILURE;
    Number* out = empty<Number>(q.sizes, 3, made);
    if (out == nullptr) return AOTI_TORCH_FAILURE;
    kernel(q.data, k.data, v.data, out, q.sizes[0], heads, q.sizes[1], k.sizes[1], q.strides[1], k.strides[1]);
    return AOTI_TORCH_SUCCESS;
}

template <typename Number, typename Kernel>
AOTITorchError rewrite(Kernel* kernel, AtenTensorHandle x, AtenTensorHandle skip, AtenTensorHandle prepared, AtenTensorHandle bias,
                       AtenTensorHandle* made) {
    if (!whole(x) || !whole(skip) || !whole(prepared) || !whole(bias)) return AOTI_TORCH_FAILURE;
    const View<Number> in(x), weights(prepared);
    Number* out = empty<Number>(in.sizes, 4, made);
    if (out == nullptr) return AOTI_TORCH_FAILURE;
    kernel(in.data, View<Number>(skip).data, out, in.sizes[0], in.sizes[1], in.sizes[2], in.sizes[3], weights.sizes[0], weights.data,
           View<float>(bias).data);
    return AOTI_TORCH_SUCCESS;
}

}  // namespace

// `x` [batch, rows, time, channels]; `learnt` as in `residual.h`, of all layers.
extern "C" AOTITorchError aoti_torch_cpu_dconv(AtenTensorHandle x, const AtenTensorHandle* learnt, int64_t count,
                                               AtenTensorHandle* made) {
    if (!in_16_bits(x)) return dconv<float>(stemwright_dconv, x, learnt, count, made);
#ifdef STEMWRIGHT_AMX
    if (tiles_allowed()) return dconv<bf16>(stemwright_dconv_bf16, x, learnt, count, made);
#endif
    return AOTI_TORCH_FAILURE;
}

// Each of `q`, `k` and `v` is [batch, tokens, heads * 64].
extern "C" AOTITorchError aoti_torch_cpu_attention(AtenTensorHandle query, AtenTensorHandle key, AtenTensorHandle value,
                                                   int64_t heads, AtenTensorHandle* made) {
    if (!in_16_bits(query)) return attention<float>(stemwright_attention, query, key, value, heads, made);
#ifdef STEMWRIGHT_AMX
    if (tiles_allowed()) return attention<bf16>(stemwright_attention_bf16, query, key, value, heads, made);
#endif
    return AOTI_TORCH_FAILURE;
}

// `x` and `skip` [batch, rows, time, channels]; `prepared` as in `winograd.py`, or `amx.py`.
extern "C" AOTITorchError aoti_torch_cpu_rewrite(AtenTensorHandle x, AtenTensorHandle skip, AtenTensorHandle prepared,
                                                 AtenTensorHandle bias, AtenTensorHandle* made) {
    if (!in_16_bits(x)) return rewrite<float>(stemwright_rewrite, x, skip, prepared, bias, made);
#ifdef STEMWRIGHT_AMX
    if (tiles_allowed()) return rewrite<bf16>(stemwright_rewrite_bf16, x, skip, prepared, bias, made);
#endif
    return AOTI_TORCH_FAILURE;
}

// `x` [batch, axis, inner, channels] to [batch, length, inner, outputs]; weights as in `integers.py`.
extern "C" AOTITorchError aoti_torch_cpu_product(AtenTensorHandle x, AtenTensorHandle weight, AtenTensorHandle scales,
                                                 AtenTensorHandle bias, int64_t outputs, int64_t kernel, int64_t stride,
                                                 int64_t padding, int64_t spread, int64_t crop, int64_t length, int64_t activation,
                                                 AtenTensorHandle* made) {
    if (in_16_bits(x) || !whole(x) || !whole(weight) || !whole(scales) || !whole(bias)) return AOTI_TORCH_FAILURE;
    const View<float> in(x);
    const int64_t sizes[] = {in.sizes[0], length, in.sizes[2], outputs};
    float* out = empty<float>(sizes, 4, made);
    if (out == nullptr) return AOTI_TORCH_FAILURE;
    stemwright_product(in.data, out, in.sizes[0], in.sizes[1], in.sizes[2], in.sizes[3], outputs, kernel, stride, padding, spread,
                       crop, length, activation, View<int32_t>(weight).data, View<float>(scales).data, View<float>(bias).data);
    return AOTI_TORCH_SUCCESS;
}
