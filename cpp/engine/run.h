// Carries out shards on worker threads: each worker moves several lanes at once, so that their MD5s
// advance together in SIMD lanes while another thread makes finished files durable.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "lane.h"

namespace mlc {

struct RunOptions {
  const KernelTable* kernels = nullptr;
  size_t threads = 1;
  size_t lanes = 1;  // at most this many shards in flight per worker
  size_t tile_bytes = 128 * 1024;
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

  // Before start() only. Shards are begun in this order.
  void add(Shard shard);
  void start();
  // Stops within one tile; on_finish then gets E_ABORTED.
  void cancel();
  // Cancels, and returns when no thread is left that could call the listener.
  void end();

  uint64_t bytes_made() const { return bytes_made_.load(std::memory_order_relaxed); }
  // Summed over threads; complete once on_finish was called.
  PhaseTimes times();
  const Sources& sources() const { return sources_; }

 private:
  using LanePtr = std::unique_ptr<Lane>;
  using Lanes = std::vector<LanePtr>;

  void work();
  bool refill(Lanes* lanes);
  LanePtr take(const Lanes& lanes);
  size_t lanes_allowed(const Lanes& lanes) const;
  Status step(Lanes* lanes, PhaseTimes* times);
  void hash(const Lanes& lanes, PhaseTimes* times);
  void share(Lanes* lanes);
  void complete(LanePtr lane);
  void finish_files();
  void report(LanePtr lane);
  void fail(const Status& status);
  void worker_left(const PhaseTimes& times);

  Sources sources_;
  RunOptions options_;
  RunListener* listener_;

  std::mutex mutex_;
  std::condition_variable work_changed_;
  std::condition_variable files_changed_;
  std::deque<Shard> waiting_;
  Lanes shared_;        // lanes that a busy worker gave away
  size_t held_ = 0;     // lanes in workers' hands
  size_t idle_ = 0;     // workers that wait
  size_t working_ = 0;  // workers that have not left
  std::deque<LanePtr> finished_;
  Status failure_ = Status::ok();
  PhaseTimes times_;

  std::mutex listener_mutex_;
  std::atomic<bool> stopped_{false};
  std::atomic<size_t> wanting_{0};  // mirrors idle_ for a look without the lock
  std::atomic<uint64_t> bytes_made_{0};
  uint64_t bytes_total_ = 0;
  std::vector<std::thread> workers_;
  std::thread finisher_;
};

}  // namespace mlc
