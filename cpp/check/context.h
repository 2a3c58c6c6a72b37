// What every check shares: the two backends, a repeatable source of chance, and the verdict.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels.h"

namespace mlc::check {

// xorshift64*: repeatable everywhere, unlike the distributions of <random>.
class Chance {
 public:
  explicit Chance(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15 + 1) {}
  uint64_t next();
  // 0 ... bound - 1
  size_t below(size_t bound) { return static_cast<size_t>(next() >> 11) % bound; }

 private:
  uint64_t state_;
};

// `size` bytes that end where the allocation ends, so that a sanitizer sees the first byte read
// past them, and that start `offset` bytes into it, so that they are not aligned.
class Bytes {
 public:
  explicit Bytes(size_t size, size_t offset = 0) : offset_(offset), storage_(size + offset, 0xA5) {}
  uint8_t* data() { return storage_.data() + offset_; }
  const uint8_t* data() const { return storage_.data() + offset_; }
  size_t size() const { return storage_.size() - offset_; }

 private:
  size_t offset_;
  std::vector<uint8_t> storage_;
};

// What was computed, to be found again in a message: "group.quantize bf16 -> f16, 4 bits".
struct Subject {
  std::string what;
  size_t unit;  // bytes of one element of the result
};

class Context {
 public:
  Context(const KernelTable& reference_table, const KernelTable& tested_table, uint64_t seed)
      : reference(reference_table), tested(tested_table), chance(seed) {}

  // Compares bit for bit; says kernel, position and bits of the first difference, and counts.
  void expect_equal(const Subject& subject, const Bytes& expected, const Bytes& actual);

  size_t comparisons() const { return comparisons_; }
  size_t failures() const { return failures_; }

  const KernelTable& reference;
  const KernelTable& tested;
  Chance chance;

 private:
  size_t comparisons_ = 0;
  size_t failures_ = 0;
};

const char* name_of(DType dtype);
size_t size_of(DType dtype);
// False if there is no such dtype.
bool parse_dtype(const std::string& name, DType* out);

// How the numbers of a tensor are spread.
enum class Spread : uint8_t { kWeights, kAnyBits, kTiny, kHuge, kTies, kZeros };
constexpr size_t kSpreads = 6;
void fill(Chance& chance, DType dtype, Spread spread, uint8_t* out, size_t count);

// NaNs of both signs, infinities, zeros, subnormals, the ends of every range.
const std::vector<uint32_t>& special_bits(DType dtype);  // kF32, kF16, kBf16
void put_bits(DType dtype, uint32_t bits, uint8_t* at);
Bytes bytes_of(const Statistics& statistics);

// Each checks one member of the table; `random_*` makes one call of random shape.
void check_element(Context& context);
void check_group(Context& context);
void check_fp8(Context& context);
void check_ft(Context& context);
void check_md5(Context& context);
void check_statistics(Context& context);
void random_element(Context& context);
void random_group(Context& context);
void random_fp8(Context& context);
void random_ft(Context& context);
void random_md5(Context& context);
void random_statistics(Context& context);

// Every weight of two bytes against every scale it can meet: all normal f16 ones, and one binade of
// f32 and bf16; or, not `whole`, a sample of the scales.
void check_scales(Context& context, bool whole);

// Reads lines of expected results (golden.cpp says how they look). False if one cannot be read.
bool check_golden(Context& context, const char* path);

struct BenchOptions {
  bool json;
  double seconds;    // for each kernel
  const char* only;  // what kernels' names begin with; null: all
};
// How many kernels were measured.
size_t run_bench(const KernelTable& table, const BenchOptions& options);

}  // namespace mlc::check
