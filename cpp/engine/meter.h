// Compares what was made with what it was made from, piece by piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../kernels/kernels.h"

namespace mlc {

class Meter {
 public:
  // Of the elements that are rounded to the model dtype: nothing, how many cannot be kept (their
  // errors are known once they are quantized), or that and their errors.
  enum class Wanted : uint8_t { kNothing, kCounts, kAll };

  // Elements and what is made of them. `lent`: they were not counted on their way.
  struct Made {
    const uint8_t* source;
    uint8_t* stored;
    size_t count;
    bool lent;
  };

  explicit Meter(const KernelTable& kernels) : kernels_(kernels) {}

  // Without this, all other calls do nothing.
  void open(size_t pieces) { statistics_.resize(pieces); }
  bool is_open() const { return !statistics_.empty(); }
  const std::vector<Statistics>& statistics() const { return statistics_; }

  void begin(size_t piece, Wanted wanted);
  bool wants() const { return wanted_ != Wanted::kNothing; }

  // Elements before and after they were rounded to `model`.
  void cast(DType from, DType model, const uint8_t* src, const uint8_t* made, size_t count);
  // Carries out `args` and measures on the way, if anything is wanted. `lent` as in Made.
  void quantize(GroupQuantizeArgs args, bool lent);
  // The same for the kernels of f16 elements; `stored` is where the results go.
  void encode_fp8(Fp8 format, float scale, const Made& made);
  void quantize_ft(size_t rows, size_t cols, const Made& made);
  void stored_bf16(const Made& made);  // from f32
  // Whole blocks, from f32.
  void ggml(GgmlType type, const Made& made);

 private:
  template <typename Add>
  void add(bool lent, Add add);
  template <typename Make>
  void make(bool lent, Make make);
  float* decoded(size_t count);

  const KernelTable& kernels_;
  std::vector<Statistics> statistics_;
  size_t piece_ = 0;
  Wanted wanted_ = Wanted::kNothing;
  std::vector<float> decoded_;
};

}  // namespace mlc
