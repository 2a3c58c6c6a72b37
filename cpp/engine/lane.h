// One shard on its way: bytes are made, written and handed to the hash in order.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "file.h"
#include "piece-stream.h"
#include "program.h"
#include "source-pages.h"

namespace mlc {

// Nanoseconds that one thread spent in each phase.
struct PhaseTimes {
  uint64_t compute = 0;
  uint64_t hash = 0;
  uint64_t write = 0;
  uint64_t sync = 0;
};

// Adds the time until the end of the scope to one phase.
class PhaseTimer {
 public:
  explicit PhaseTimer(uint64_t* total) : total_(total), start_(std::chrono::steady_clock::now()) {}
  ~PhaseTimer() {
    const auto spent = std::chrono::steady_clock::now() - start_;
    *total_ +=
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(spent).count());
  }
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

 private:
  uint64_t* total_;
  std::chrono::steady_clock::time_point start_;
};

// MD5 of a stream whose whole blocks are hashed by the caller, several streams at once.
class Md5Stream {
 public:
  // Begins a chunk; its whole 64-byte blocks are then at next() until they are consumed.
  void feed(const Chunk& chunk, const Md5Kernels& md5);
  size_t blocks() const { return blocks_; }
  const uint8_t* next() const { return next_; }
  Md5State* state() { return &state_; }
  void consume(size_t blocks);
  // The digest; no blocks may be left.
  std::array<uint8_t, 16> finish(const Md5Kernels& md5);
  // Bytes that were fed and are not in blocks().
  uint64_t hashed() const { return total_ - blocks_ * sizeof(tail_); }

 private:
  void keep_tail(const uint8_t* data, size_t size);

  Md5State state_ = {{0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u}};
  const uint8_t* next_ = nullptr;
  size_t blocks_ = 0;
  size_t behind_ = 0;  // bytes behind the last whole block of the chunk
  uint64_t total_ = 0;
  uint8_t tail_[64];
  size_t tail_size_ = 0;
};

struct LaneOptions {
  size_t tile_bytes = 0;
  bool sync = false;   // what is written will be made durable
  bool ahead = false;  // the next chunk is made while one is hashed
};

// What one thread makes another hashes. Everything but advance() and the hashing of md5()'s blocks
// happens under the lock of whoever hands the lane out.
class Lane {
 public:
  Lane(Shard shard, const Sources& sources, const KernelTable& kernels, KeptScales* kept,
       const LaneOptions& options);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  bool may_advance() const;
  bool may_hash() const { return !hashing_ && md5_.blocks() > 0; }
  bool complete() const;
  bool is_ahead() const { return options_.ahead; }

  void begin_advance() { advancing_ = true; }
  // Makes and writes the next chunk. The first call opens the output; a shard without a path is
  // only hashed.
  Status advance(PhaseTimes* times);
  // Bytes that were made.
  size_t end_advance();

  void begin_hash() { hashing_ = true; }
  Md5Stream& md5() { return md5_; }
  void end_hash(size_t blocks);

  const Shard& shard() const { return shard_; }
  // Bytes to be hashed, with those of the shards that wait for this one.
  uint64_t left() const { return shard_.nbytes_in_all() - md5_.hashed(); }

  // Of a complete lane.
  std::array<uint8_t, 16> digest() { return md5_.finish(kernels_.md5); }
  Status sync() { return shard_.path.empty() ? Status::ok() : file_.sync(); }
  void close();
  const std::vector<Statistics>& statistics() const { return stream_.statistics(); }

 private:
  Status open();
  Status write(const Chunk& chunk);
  void hand_over();

  Shard shard_;
  const KernelTable& kernels_;
  LaneOptions options_;
  PieceStream stream_;
  SourcePages pages_;
  OutputFile file_;
  bool opened_ = false;
  uint64_t made_ = 0;
  uint64_t flushed_ = 0;
  Chunk fresh_;    // what advance() made
  Chunk waiting_;  // what was made, and is not in md5_ yet
  Md5Stream md5_;
  bool advancing_ = false;
  bool hashing_ = false;
};

}  // namespace mlc
