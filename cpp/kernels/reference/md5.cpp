// MD5 as RFC 1321 writes it: the definition that the kernels with lanes equal.
#include <cstddef>
#include <cstdint>

#include "../kernels.h"

namespace mlc {

extern const Md5Kernels kReferenceMd5;

namespace {

constexpr size_t kBlockBytes = 64;

// floor(2^32 * |sin(i + 1)|), RFC 1321 section 3.4.
constexpr uint32_t kSines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

constexpr int kShifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

uint32_t load_le32(const uint8_t* p) {
  return uint32_t{p[0]} | uint32_t{p[1]} << 8 | uint32_t{p[2]} << 16 | uint32_t{p[3]} << 24;
}

uint32_t rotate_left(uint32_t v, int bits) { return (v << bits) | (v >> (32 - bits)); }

uint32_t mix(int round, uint32_t x, uint32_t y, uint32_t z) {
  switch (round) {
    case 0:
      return (x & y) | (~x & z);
    case 1:
      return (x & z) | (y & ~z);
    case 2:
      return x ^ y ^ z;
    default:
      return y ^ (x | ~z);
  }
}

int word_of(int round, int step) {
  constexpr int kFactor[4] = {1, 5, 3, 7};
  constexpr int kStart[4] = {0, 1, 5, 0};
  return (kFactor[round] * step + kStart[round]) % 16;
}

void update_block(Md5State& state, const uint8_t* block) {
  uint32_t a = state.word[0];
  uint32_t b = state.word[1];
  uint32_t c = state.word[2];
  uint32_t d = state.word[3];
  for (int step = 0; step < 64; ++step) {
    const int round = step / 16;
    const uint32_t word = load_le32(block + 4 * word_of(round, step));
    const uint32_t sum = a + mix(round, b, c, d) + word + kSines[step];
    a = d;
    d = c;
    c = b;
    b += rotate_left(sum, kShifts[round][step % 4]);
  }
  state.word[0] += a;
  state.word[1] += b;
  state.word[2] += c;
  state.word[3] += d;
}

void update(Md5State* const* states, const uint8_t* const* data, size_t blocks, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    for (size_t block = 0; block < blocks; ++block) {
      update_block(*states[i], data[i] + block * kBlockBytes);
    }
  }
}

}  // namespace

const Md5Kernels kReferenceMd5 = {1, update};

}  // namespace mlc
