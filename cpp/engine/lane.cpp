#include "lane.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace mlc {

namespace {

// What is written is sent to the disk in portions of this size while the rest is made.
constexpr uint64_t kFlushBytes = 4u << 20;

}  // namespace

void Md5Stream::keep_tail(const uint8_t* data, size_t size) {
  std::memcpy(tail_ + tail_size_, data, size);
  tail_size_ += size;
}

void Md5Stream::feed(const Chunk& chunk, const Md5Kernels& md5) {
  const uint8_t* data = chunk.data;
  size_t size = chunk.size;
  total_ += size;
  if (tail_size_ > 0) {
    const size_t head = std::min(sizeof(tail_) - tail_size_, size);
    keep_tail(data, head);
    data += head;
    size -= head;
    if (tail_size_ < sizeof(tail_)) return;
    Md5State* state = &state_;
    const uint8_t* block = tail_;
    md5.update(&state, &block, 1, 1);
    tail_size_ = 0;
  }
  next_ = data;
  blocks_ = size / sizeof(tail_);
  behind_ = size % sizeof(tail_);
  if (blocks_ == 0) consume(0);
}

void Md5Stream::consume(size_t blocks) {
  next_ += blocks * sizeof(tail_);
  blocks_ -= blocks;
  if (blocks_ > 0) return;
  keep_tail(next_, behind_);
  behind_ = 0;
}

std::array<uint8_t, 16> Md5Stream::finish(const Md5Kernels& md5) {
  uint8_t padding[128] = {};
  const size_t blocks = tail_size_ < 56 ? 1 : 2;
  std::memcpy(padding, tail_, tail_size_);
  padding[tail_size_] = 0x80;
  const uint64_t bits = total_ * 8;
  for (size_t i = 0; i < 8; ++i)
    padding[blocks * 64 - 8 + i] = static_cast<uint8_t>(bits >> (8 * i));
  Md5State* state = &state_;
  const uint8_t* data = padding;
  md5.update(&state, &data, blocks, 1);
  std::array<uint8_t, 16> digest;
  for (size_t i = 0; i < 16; ++i) {
    digest[i] = static_cast<uint8_t>(state_.word[i / 4] >> (8 * (i % 4)));
  }
  return digest;
}

Lane::Lane(Shard shard, const Sources& sources, const KernelTable& kernels, KeptScales* kept,
           const LaneOptions& options)
    : shard_(std::move(shard)),
      kernels_(kernels),
      options_(options),
      stream_(shard_.pieces, sources, kernels, kept, options.tile_bytes),
      pages_(shard_.pieces, sources) {
  if (shard_.measured) stream_.measure();
  if (options.ahead) stream_.keep_two_chunks();
}

bool Lane::may_advance() const {
  if (advancing_ || waiting_.size > 0 || stream_.finished()) return false;
  return options_.ahead || (!hashing_ && md5_.blocks() == 0);
}

bool Lane::complete() const {
  const bool busy = advancing_ || hashing_;
  return !busy && stream_.finished() && waiting_.size == 0 && md5_.blocks() == 0;
}

// What was made goes to the hash when that is done with what it had.
void Lane::hand_over() {
  if (hashing_ || md5_.blocks() > 0 || waiting_.size == 0) return;
  md5_.feed(waiting_, kernels_.md5);
  waiting_ = Chunk();
}

size_t Lane::end_advance() {
  advancing_ = false;
  waiting_ = fresh_;
  hand_over();
  return fresh_.size;
}

void Lane::end_hash(size_t blocks) {
  hashing_ = false;
  md5_.consume(blocks);
  hand_over();
}

Status Lane::open() {
  opened_ = true;
  if (shard_.path.empty()) return Status::ok();
  const Status status = file_.open(shard_.path, shard_.truncate);
  return status.is_ok() ? file_.reserve(shard_.file_offset, shard_.nbytes) : status;
}

Status Lane::write(const Chunk& chunk) {
  const Status status = file_.write(shard_.file_offset + made_, chunk.data, chunk.size);
  const uint64_t end = made_ + chunk.size;
  if (status.is_ok() && options_.sync && end - flushed_ >= kFlushBytes) {
    file_.flush(shard_.file_offset + flushed_, end - flushed_);
    flushed_ = end;
  }
  return status;
}

Status Lane::advance(PhaseTimes* times) {
  if (!opened_) {
    PhaseTimer timer(&times->write);
    const Status status = open();
    if (!status.is_ok()) return status;
  }
  fresh_ = Chunk();
  if (stream_.finished()) return Status::ok();
  {
    PhaseTimer timer(&times->compute);
    pages_.follow(stream_.index(), stream_.position());
    const Status status = stream_.next(&fresh_);
    if (!status.is_ok()) return status;
  }
  if (!shard_.path.empty()) {
    PhaseTimer timer(&times->write);
    const Status status = write(fresh_);
    if (!status.is_ok()) return status;
  }
  made_ += fresh_.size;
  return Status::ok();
}

void Lane::close() {
  file_.close();
  pages_.release();
}

}  // namespace mlc
