// MD5 of several independent streams at once: one stream in each lane of a vector.
//
// RFC 1321 leaves no parallelism inside one message: every step waits for the one before. So a
// vector holds the same step of several messages, and where one such group does not fill the
// pipeline, two are interleaved step by step.
//
// Only files of one instruction set include this header. All of it has internal linkage, so that
// no copy compiled for a richer instruction set can be chosen for the whole program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels.h"

// MLC_PIN: `value` is computed just so and kept in a register of the class `letter`. Compilers like
// to regroup sums, which moves an addition onto the path that every step waits for.
#if defined(_MSC_VER)
#define MLC_ALWAYS_INLINE __forceinline
#define MLC_PIN(letter, value)
#else
#define MLC_ALWAYS_INLINE inline __attribute__((always_inline))
#define MLC_PIN(letter, value) asm("" : "+" letter(value))
#endif

namespace mlc {

// MD5 of a single stream (md5-stream.cpp), which is faster in plain registers than in one lane.
void update_md5_stream(Md5State* state, const uint8_t* data, size_t blocks);

namespace {

constexpr size_t kMd5BlockBytes = 64;

// floor(2^32 * |sin(i + 1)|), RFC 1321 section 3.4.
constexpr uint32_t kMd5Sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

constexpr int kMd5Shifts[4][4] = {
    {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

// Which word of the block step `step` adds.
constexpr int md5_word_of(int step) {
  switch (step / 16) {
    case 0:
      return step % 16;
    case 1:
      return (5 * step + 1) % 16;
    case 2:
      return (3 * step + 5) % 16;
    default:
      return (7 * step) % 16;
  }
}

// What a `L` (an instruction set's lanes) offers:
//   Vector, kLanes
//   load(const uint32_t*), store(uint32_t*, Vector)       kLanes words in lane order
//   load_block(const uint8_t* const* data, size_t offset, Vector* words)
//                                                  words[w] lane i = word w at data[i] + offset
//   constant(const uint32_t*), add, rotate<kBits>  kBits to the left
//   add_mix<kRound>(sum, b, c, d)                  sum + F, G, H or I of RFC 1321 section 3.4
//   pin(Vector&)                                   MLC_PIN

template <class L>
struct Md5Group {
  typename L::Vector word[4];
};

template <class L>
struct Md5Block {
  typename L::Vector word[16];
};

// The four state words rotate their roles: in step i, word[(64 - i) % 4] is `a`.
// All that does not wait for b, the word of the step before, is summed early.
template <class L, int kStep>
MLC_ALWAYS_INLINE void step_group(Md5Group<L>& state, const Md5Block<L>& block,
                                  const uint32_t* sines) {
  using Vector = typename L::Vector;
  constexpr int kA = (64 - kStep) % 4;
  Vector& a = state.word[kA];
  const Vector b = state.word[(kA + 1) % 4];
  const Vector c = state.word[(kA + 2) % 4];
  const Vector d = state.word[(kA + 3) % 4];
  Vector early = L::add(L::add(a, block.word[md5_word_of(kStep)]), L::constant(&sines[kStep]));
  L::pin(early);
  const Vector sum = L::template add_mix<kStep / 16>(early, b, c, d);
  a = L::add(b, L::template rotate<kMd5Shifts[kStep / 16][kStep % 4]>(sum));
}

template <class L, size_t kGroups, int kStep>
MLC_ALWAYS_INLINE void one_step(Md5Group<L>* state, const Md5Block<L>* words,
                                const uint32_t* sines) {
  static_assert(kGroups == 1 || kGroups == 2, "one group, or two interleaved");
  step_group<L, kStep>(state[0], words[0], sines);
  if constexpr (kGroups == 2) step_group<L, kStep>(state[1], words[1], sines);
}

template <class L, size_t kGroups, int kRound>
MLC_ALWAYS_INLINE void one_round(Md5Group<L>* state, const Md5Block<L>* words,
                                 const uint32_t* sines) {
  one_step<L, kGroups, 16 * kRound + 0>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 1>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 2>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 3>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 4>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 5>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 6>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 7>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 8>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 9>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 10>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 11>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 12>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 13>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 14>(state, words, sines);
  one_step<L, kGroups, 16 * kRound + 15>(state, words, sines);
}

template <class L, size_t kGroups>
MLC_ALWAYS_INLINE void one_block(Md5Group<L>* state, const Md5Block<L>* words,
                                 const uint32_t* sines) {
  Md5Group<L> next[kGroups];
  for (size_t g = 0; g < kGroups; ++g) next[g] = state[g];
  one_round<L, kGroups, 0>(next, words, sines);
  one_round<L, kGroups, 1>(next, words, sines);
  one_round<L, kGroups, 2>(next, words, sines);
  one_round<L, kGroups, 3>(next, words, sines);
  for (size_t g = 0; g < kGroups; ++g) {
    for (size_t i = 0; i < 4; ++i) state[g].word[i] = L::add(state[g].word[i], next[g].word[i]);
  }
}

// Lane i of state word w from states[i]; lanes past `count` repeat stream 0 and are thrown away.
template <class L, size_t kGroups>
void update_groups(Md5State* const* states, const uint8_t* const* data, size_t blocks,
                   size_t count) {
  constexpr size_t kLanes = L::kLanes * kGroups;
  const uint8_t* streams[kLanes];
  uint32_t transposed[4][kLanes];
  for (size_t i = 0; i < kLanes; ++i) {
    const size_t stream = i < count ? i : 0;
    streams[i] = data[stream];
    for (size_t w = 0; w < 4; ++w) transposed[w][i] = states[stream]->word[w];
  }
  Md5Group<L> state[kGroups];
  for (size_t g = 0; g < kGroups; ++g) {
    for (size_t w = 0; w < 4; ++w) state[g].word[w] = L::load(&transposed[w][g * L::kLanes]);
  }
  // Constants that a compiler knows it may build in a general register and move over each time; an
  // addition reads them from memory.
  const uint32_t* sines = kMd5Sines;
  MLC_PIN("r", sines);
  for (size_t block = 0; block < blocks; ++block) {
    Md5Block<L> words[kGroups];
    for (size_t g = 0; g < kGroups; ++g) {
      L::load_block(streams + g * L::kLanes, block * kMd5BlockBytes, words[g].word);
    }
    one_block<L, kGroups>(state, words, sines);
  }
  for (size_t g = 0; g < kGroups; ++g) {
    for (size_t w = 0; w < 4; ++w) L::store(&transposed[w][g * L::kLanes], state[g].word[w]);
  }
  for (size_t i = 0; i < count; ++i) {
    for (size_t w = 0; w < 4; ++w) states[i]->word[w] = transposed[w][i];
  }
}

// Md5Kernels::update for up to kGroups * L::kLanes streams.
template <class L, size_t kGroups>
void update_lanes(Md5State* const* states, const uint8_t* const* data, size_t blocks,
                  size_t count) {
  if (count == 1) {
    update_md5_stream(states[0], data[0], blocks);
  } else if (count <= L::kLanes) {
    update_groups<L, 1>(states, data, blocks, count);
  } else {
    update_groups<L, kGroups>(states, data, blocks, count);
  }
}

}  // namespace
}  // namespace mlc
