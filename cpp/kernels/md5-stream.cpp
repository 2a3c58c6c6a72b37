// One MD5 stream in plain registers, for backends in which one lane of a vector is slower.
#include "md5-lanes.h"

namespace mlc {

namespace {

struct OneLane {
  using Vector = uint32_t;
  static constexpr size_t kLanes = 1;

  static Vector load(const uint32_t* words) { return *words; }
  static void store(uint32_t* words, Vector v) { *words = v; }
  static Vector constant(const uint32_t* word) { return *word; }
  static Vector add(Vector a, Vector b) { return a + b; }
  static void pin(Vector& v) { MLC_PIN("r", v); }

  static void load_block(const uint8_t* const* data, size_t offset, Vector* words) {
    std::memcpy(words, data[0] + offset, kMd5BlockBytes);
  }

  template <int kBits>
  static Vector rotate(Vector v) {
    return (v << kBits) | (v >> (32 - kBits));
  }

  // G is a sum of two disjoint parts, of which only one waits for the newest word, b.
  template <int kRound>
  static Vector add_mix(Vector sum, Vector b, Vector c, Vector d) {
    if constexpr (kRound == 0) return sum + (d ^ (b & (c ^ d)));
    if constexpr (kRound == 1) {
      Vector early = sum + (c & ~d);
      pin(early);
      return early + (b & d);
    }
    if constexpr (kRound == 2) return sum + (b ^ (c ^ d));
    return sum + (c ^ (b | ~d));
  }
};

}  // namespace

void update_md5_stream(Md5State* state, const uint8_t* data, size_t blocks) {
  update_groups<OneLane, 1>(&state, &data, blocks, 1);
}

}  // namespace mlc
