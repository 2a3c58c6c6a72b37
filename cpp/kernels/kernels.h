// The contract of the kernels: arithmetic on lent memory.
//
// A kernel knows no model, no file, no JSON and no Node. It throws nothing, keeps no pointer, takes
// unaligned little-endian bytes, and its result does not depend on how rows are split over calls.
// reference/*.cpp is the definition of every result; all other backends equal it bit for bit.
// Release builds check nothing: callers guarantee what the comments say. Debug builds assert.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlc {

enum class DType : uint8_t {
  kF64,
  kF32,
  kF16,
  kBf16,
  kF8E4m3,
  kI8,
  kU8,
  kI16,
  kU16,
  kI32,
  kU32,
  kI64,
  kU64,
  kBool,
};

// ---- elements ------------------------------------------------------------------------------

struct ElementKernels {
  // dst[i] = round_to(to, src[i]), one rounding, ties to even (f64 to bf16 goes through f32).
  // `from`: any DType; `to`: kF32, kF16 or kBf16. from == to copies bits. NaN payloads: bits of a
  // narrowed NaN are its upper bits with the quiet bit set; see reference.
  void (*cast)(DType from, DType to, const uint8_t* src, uint8_t* dst, size_t count);
  // dst[i] = src[i] + 1 in `dtype` (kF32, kF16; kBf16 sums in f32 and rounds to bf16).
  void (*add_one)(DType dtype, const uint8_t* src, uint8_t* dst, size_t count);
  // dst[i] = src[i] / 2^shift in `dtype` (kF32, kF16, kBf16), ties to even where subnormal.
  void (*divide_pow2)(DType dtype, int shift, const uint8_t* src, uint8_t* dst, size_t count);
  // dst[i] = exp(-exp(src[i])): float64 inside, rounded to f32 after each exponential.
  void (*exp_neg_exp)(const uint8_t* src_f32, uint8_t* dst_f32, size_t count);
  // The tensor cache's f32 -> bf16 storage rule (quantization.md section 7), not the cast above.
  void (*encode_bf16)(const uint8_t* src_f32, uint8_t* dst_bf16, size_t count);
};

// ---- statistics -----------------------------------------------------------------------------

// What became of a tensor's elements; kernels add to it. An element counts in the sums where its
// value, in the model dtype too, and its error are finite. The error is that of an f32
// fma(stored value, scale, -element); squares are summed as statistics-lanes.h says.
struct Statistics {
  uint64_t elements;
  uint64_t non_finite;       // NaN or infinite in the source
  uint64_t overflowed;       // finite in the source, infinite in the model dtype
  uint64_t zero_groups;      // groups whose scale is zero
  uint64_t infinite_scales;  // groups whose scale is infinite or NaN
  double max_error;
  double squared_error;
  double squared_value;
};

// How made elements lie in memory: floats, fp8, or q4f16_ft's codes (one a byte, 8 is zero).
enum class Stored : uint8_t { kF32, kF16, kBf16, kE4m3, kE5m2, kFtCode };

// kE4m3, kE5m2 and kFtCode are made from f16. Whoever looks at f32 or f16 that was made from
// another dtype may rely on it that ElementKernels::cast made it.
struct CompareArgs {
  DType from;   // kF32, kF16 or kBf16
  DType model;  // the dtype whose range counts
  Stored stored;
  float scale;  // what stored values are multiplied by
  const uint8_t* src;
  const uint8_t* made;
  size_t count;
};

struct StatisticsKernels {
  // Counts elements and those that are lost, without any sums. `from`, `model` as above.
  void (*count)(DType from, DType model, const uint8_t* src, size_t count, Statistics* out);
  // Element i in lane i mod 16, every 2048 elements by themselves.
  void (*compare)(const CompareArgs* args, Statistics* out);
};

// ---- group quantization ----------------------------------------------------------------------

// Quantizes `rows` rows of `cols` elements, row r at src + r * src_row_stride (bytes).
// Elements are rounded to `model` first; groups of `group` along a row, the last may be short.
//   bits 4: group 32, 8 values a word; bits 3: group 40, 10 values a word; always 4 words a group.
// Word w (of 4 * ceil(cols / group)) of row r goes to
//   words + r * word_row_stride + w * word_stride                              (bytes)
// and the scale of group g of row r, in `model`'s bits (f32 scales as f32), to
//   scales + r * scale_row_stride + g * scale_stride                           (bytes).
// Either of `words`, `scales` may be null: then it is not made.
// `statistics` (null: none; else `words` must be there) gets what became of the elements: 64 whole
// groups of a row at once, a short last group by itself; where words are transposed
// (word_row_stride 4), the same group of 16 rows at once. Which places of a group share a lane, says
// statistics-lanes.h.
struct GroupQuantizeArgs {
  const uint8_t* src;
  size_t src_row_stride;
  size_t rows;
  size_t cols;
  uint8_t* words;
  size_t word_row_stride;
  size_t word_stride;
  uint8_t* scales;
  size_t scale_row_stride;
  size_t scale_stride;
  DType from;   // kF32, kF16 or kBf16
  DType model;  // kF32, kF16 or kBf16
  uint8_t bits;
  uint8_t group;
  // bf16 KN only: divide by the unrounded f32 scale (quantization.md section 3, step 4).
  bool divide_by_unrounded_scale;
  Statistics* statistics;
};

struct GroupKernels {
  void (*quantize)(const GroupQuantizeArgs* args);
};

// ---- fp8, FasterTransformer -----------------------------------------------------------------

enum class Fp8 : uint8_t { kE4m3, kE5m2 };

struct Fp8Kernels {
  // max |src[i]| over `count` f16 elements and `*running`, as f16 bits; NaNs are ignored.
  void (*absmax)(const uint8_t* src_f16, size_t count, uint16_t* running);
  // dst[i] = round_to(format, f32(src[i]) / scale), saturating; a true division, also by 1.
  // `statistics` (null: none) gets what `compare` says of src and dst.
  void (*encode)(Fp8 format, const uint8_t* src_f16, float scale, uint8_t* dst, size_t count,
                 Statistics* statistics);
};

struct FtKernels {
  // Row-wise q4f16_ft quantization of f16 rows [rows, cols]: codes t + 8 (0 ... 15), one a byte,
  // to `codes` (row-major), f16 scales to `scales`. Either may be null. `statistics` (null: none;
  // else `codes` must be there) gets what `compare` says of each row and its codes.
  void (*quantize)(const uint8_t* src_f16, size_t rows, size_t cols, uint8_t* codes,
                   uint8_t* scales, Statistics* statistics);
};

// ---- MD5 ---------------------------------------------------------------------------------------

struct Md5State {
  uint32_t word[4];
};

struct Md5Kernels {
  // How many streams one call advances at once at full speed.
  size_t lanes;
  // Advances each of `count` (1 ... lanes) states by `blocks` 64-byte blocks at data[i].
  void (*update)(Md5State* const* states, const uint8_t* const* data, size_t blocks, size_t count);
};

// ---- GGUF block types --------------------------------------------------------------------------

enum class GgmlType : uint8_t {
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2K,
  kQ3K,
  kQ4K,
  kQ5K,
  kQ6K,
  kIq4Nl,
  kIq4Xs,
  kMxfp4,
};

struct GgmlKernels {
  // `count` elements, a whole number of blocks of `type`.
  void (*dequantize)(GgmlType type, const uint8_t* src, uint8_t* dst_f32, size_t count);
  void (*quantize)(GgmlType type, const uint8_t* src_f32, uint8_t* dst, size_t count);
};

// ---- tables ------------------------------------------------------------------------------------

// One backend. Members that a backend has no faster version of point to the reference's.
struct KernelTable {
  const char* name;  // "reference", "avx2", "avx512", "neon", "cuda"
  ElementKernels element;
  GroupKernels group;
  Fp8Kernels fp8;
  FtKernels ft;
  Md5Kernels md5;
  GgmlKernels ggml;
  StatisticsKernels statistics;
};

struct Backend {
  const char* name;
  const KernelTable* table;  // null: cannot run here
  const char* reason;        // why not, when table is null
};

// All backends that this build knows, best first; the reference is last and always runs.
// Fills up to `capacity` entries and returns how many there are.
size_t list_backends(Backend* out, size_t capacity);
// The first of them that can run here.
const KernelTable& best_backend();

}  // namespace mlc
