// Carries out shards on worker threads: workers make bytes of whichever lane has most to do and
// hash those of many lanes together in SIMD lanes, while another thread makes finished files
// durable.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "lane.h"

namespace mlc {

struct RunOptions {
  const KernelTable* kernels = nullptr;
  size_t threads = 1;
  size_t lanes = 1;  // at most this many shards in flight
  size_t ahead = 0;  // at most as many of them make a chunk while another is hashed
  size_t tile_bytes = 128 * 1024;
  uint64_t kept_bytes = 0;  // memory for scales that are stored behind their words
  bool sync = true;
};

// Told from the engine's threads, one call at a time.
class RunListener {
 public:
  virtual ~RunListener() = default;
  // `statistics`: one a piece, or none when the shard is not measured.
  virtual void on_shard(uint32_t id, const std::array<uint8_t, 16>& md5,
                        const std::vector<Statistics>& statistics) = 0;
  // The last call. Not ok: the first failure; the other shards were stopped.
  virtual void on_finish(const Status& status) = 0;
};

class Run {
 public:
  Run(Sources sources, const RunOptions& options, RunListener* listener);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Before start() only. Shards are begun in this order, but those that store scales which others
  // make, added before, wait for them.
  void add(Shard shard);
  void start();
  // Stops within one tile; on_finish then gets E_ABORTED.
  void cancel();
  // Cancels, and returns when no thread is left that could call the listener.
  void end();
  // After on_finish: lets go of every file, which on Windows nobody could rename or remove before.
  void close_files();

  uint64_t bytes_made() const { return bytes_made_.load(std::memory_order_relaxed); }
  // Summed over threads; complete once on_finish was called.
  PhaseTimes times();

 private:
  using LanePtr = std::unique_ptr<Lane>;
  using Lanes = std::vector<LanePtr>;

  // What a worker does at once: makes a chunk of one lane, or hashes those of several.
  struct Task {
    std::vector<Lane*> lanes;
    bool hashes = false;
    size_t blocks = 0;  // of each lane, that were hashed
  };

  void work();
  bool take(Task* task);
  bool choose(Task* task);
  bool is_urgent(uint64_t bytes) const;
  void pair(Shard* shard);
  bool may_begin(const Shard& shard) const;
  Lane* open_lane(std::deque<Shard>::iterator next);
  Lane* lane_with_most_left();
  void take_ready(std::vector<Lane*> ready, Task* task);
  void put(Task* task);
  void finish_complete_lanes();
  Status carry_out(Task* task, PhaseTimes* times);
  void hash(Task* task, PhaseTimes* times);
  void finish_files();
  void report(LanePtr lane);
  Status cause_of(const Status& status) const;
  void fail(const Status& status);
  void worker_left(const PhaseTimes& times);

  Sources sources_;
  RunOptions options_;
  RunListener* listener_;

  std::mutex mutex_;
  std::condition_variable work_changed_;
  std::condition_variable files_changed_;
  std::deque<Shard> waiting_;
  struct Maker {
    Shard* shard;  // in waiting_
    Piece* words;  // null once their scales are found
  };
  std::unordered_map<uint32_t, Maker> makers_;  // by pair, until the start
  std::unordered_set<uint32_t> awaited_;        // unfinished shards that others wait for
  KeptScales kept_;
  Lanes lanes_;         // the open ones
  size_t working_ = 0;  // workers that have not left
  std::deque<LanePtr> finished_;
  Status failure_ = Status::ok();
  PhaseTimes times_;

  std::atomic<bool> stopped_{false};
  std::atomic<uint64_t> bytes_made_{0};
  uint64_t bytes_total_ = 0;
  std::vector<std::thread> workers_;
  std::thread finisher_;
};

}  // namespace mlc
