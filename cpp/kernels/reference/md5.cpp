// MD5's block function (RFC 1321).
#include "../backends.h"
#include "float-bits.h"

namespace mlc {
namespace {

// floor(2^32 * |sin(i + 1)|)
constexpr uint32_t kSine[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

constexpr unsigned kRotate[4][4] = {
    {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

uint32_t rotate_left(uint32_t x, unsigned by) { return x << by | x >> (32 - by); }

uint32_t mix(unsigned round, uint32_t b, uint32_t c, uint32_t d) {
  if (round == 0) return d ^ (b & (c ^ d));
  if (round == 1) return c ^ (d & (b ^ c));
  if (round == 2) return b ^ c ^ d;
  return c ^ (b | ~d);
}

// Which word of the block step i of each round reads: i, 5i + 1, 3i + 5, 7i.
unsigned word_of(unsigned round, unsigned i) {
  constexpr unsigned kFactor[4] = {1, 5, 3, 7};
  constexpr unsigned kOffset[4] = {0, 1, 5, 0};
  return (kFactor[round] * i + kOffset[round]) % 16;
}

void one_block(Md5State& state, const uint8_t* data) {
  uint32_t a = state.word[0];
  uint32_t b = state.word[1];
  uint32_t c = state.word[2];
  uint32_t d = state.word[3];
  for (unsigned round = 0; round < 4; ++round) {
    for (unsigned i = 0; i < 16; ++i) {
      const uint32_t message = load<uint32_t>(data + word_of(round, i) * 4);
      const uint32_t sum = a + mix(round, b, c, d) + kSine[round * 16 + i] + message;
      const uint32_t next = b + rotate_left(sum, kRotate[round][i % 4]);
      a = d;
      d = c;
      c = b;
      b = next;
    }
  }
  state.word[0] += a;
  state.word[1] += b;
  state.word[2] += c;
  state.word[3] += d;
}

void update(Md5State* const* states, const uint8_t* const* data, size_t blocks, size_t count) {
  for (size_t stream = 0; stream < count; ++stream) {
    for (size_t block = 0; block < blocks; ++block) {
      one_block(*states[stream], data[stream] + block * 64);
    }
  }
}

}  // namespace

const Md5Kernels kReferenceMd5 = {1, update};

}  // namespace mlc
