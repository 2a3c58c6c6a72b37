#include "run.h"

#include <algorithm>
#include <utility>

namespace mlc {

namespace {

constexpr size_t kMaxLanes = 64;
// Fewer streams than these are hashed faster one after the other in plain registers, beside full
// vectors of others, than together in lanes that stay empty.
constexpr uint64_t kFewestLanes = 4;
// Files that may wait for being made durable before workers pause.
constexpr size_t kMaxUnsynced = 64;

}  // namespace

Run::Run(Sources sources, const RunOptions& options, RunListener* listener)
    : sources_(std::move(sources)), options_(options), listener_(listener) {
  options_.lanes = std::min(std::max<size_t>(1, options_.lanes), kMaxLanes);
  options_.threads = std::max<size_t>(1, options_.threads);
}

Run::~Run() { end(); }

void Run::end() {
  cancel();
  for (std::thread& worker : workers_) {
    if (worker.joinable()) worker.join();
  }
  if (finisher_.joinable()) finisher_.join();
}

void Run::add(Shard shard) {
  bytes_total_ += shard.nbytes;
  waiting_.push_back(std::move(shard));
}

void Run::start() {
  working_ = options_.threads;
  finisher_ = std::thread([this] { finish_files(); });
  for (size_t i = 0; i < options_.threads; ++i) workers_.emplace_back([this] { work(); });
}

void Run::cancel() { fail(Status::error("E_ABORTED", "the run was cancelled")); }

PhaseTimes Run::times() {
  std::lock_guard<std::mutex> lock(mutex_);
  return times_;
}

void Run::fail(const Status& status) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (failure_.is_ok()) failure_ = status;
  stopped_.store(true);
  work_changed_.notify_all();
  files_changed_.notify_all();
}

// How many lanes this worker should hold. A shard about as long as the worker's share of what is
// left must not be slowed down, or it is the last: it goes alone. Shorter ones go together, more
// than would end in time by themselves, because lanes are given away once another worker is idle.
size_t Run::lanes_allowed(const Lanes& lanes) const {
  uint64_t longest = 1;
  for (const LanePtr& lane : lanes) longest = std::max(longest, lane->left());
  const uint64_t left = bytes_total_ - bytes_made();
  const uint64_t share = left / options_.threads / longest;
  if (share < kFewestLanes) return 1;
  return static_cast<size_t>(std::min<uint64_t>(options_.lanes, 2 * share));
}

// A worker that has lanes leaves those on offer to one that has none, which may take a while to
// wake.
Run::LanePtr Run::take(const Lanes& lanes) {
  if (!shared_.empty() && (lanes.empty() || idle_ == 0)) {
    LanePtr lane = std::move(shared_.back());
    shared_.pop_back();
    return lane;
  }
  if (waiting_.empty() || (!lanes.empty() && lanes.size() >= lanes_allowed(lanes))) return nullptr;
  Shard shard = std::move(waiting_.front());
  waiting_.pop_front();
  return LanePtr(
      new Lane(std::move(shard), sources_, *options_.kernels, options_.tile_bytes, options_.sync));
}

// Fills up `lanes`; waits while there is nothing to do but others may still give some away.
// False when the run is over for this worker.
bool Run::refill(Lanes* lanes) {
  if (stopped_.load(std::memory_order_relaxed)) return false;
  if (lanes->size() >= options_.lanes) return true;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    if (stopped_.load()) return false;
    while (lanes->size() < options_.lanes) {
      LanePtr lane = take(*lanes);
      if (lane == nullptr) break;
      ++held_;
      lanes->push_back(std::move(lane));
    }
    if (!lanes->empty()) return true;
    if (held_ == 0) return false;
    wanting_.store(++idle_);
    work_changed_.wait(lock);
    wanting_.store(--idle_);
  }
}

// Gives half of the lanes to a worker that has none.
void Run::share(Lanes* lanes) {
  if (lanes->size() < 2 || wanting_.load(std::memory_order_relaxed) == 0) return;
  std::lock_guard<std::mutex> lock(mutex_);
  if (idle_ == 0 || !shared_.empty()) return;
  for (size_t give = lanes->size() / 2; give > 0; --give) {
    shared_.push_back(std::move(lanes->back()));
    lanes->pop_back();
    --held_;
  }
  // Lanes on offer still count as work in progress: a worker that finds none held must look here.
  work_changed_.notify_one();
}

void Run::hash(const Lanes& lanes, PhaseTimes* times) {
  PhaseTimer timer(&times->hash);
  Md5State* states[kMaxLanes];
  const uint8_t* data[kMaxLanes];
  Lane* active[kMaxLanes];
  size_t count = 0;
  size_t blocks = SIZE_MAX;
  for (const LanePtr& lane : lanes) {
    if (lane->md5().blocks() == 0) continue;
    states[count] = lane->md5().state();
    data[count] = lane->md5().next();
    active[count++] = lane.get();
    blocks = std::min(blocks, lane->md5().blocks());
  }
  const Md5Kernels& md5 = options_.kernels->md5;
  for (size_t first = 0; first < count; first += md5.lanes) {
    md5.update(states + first, data + first, blocks, std::min(md5.lanes, count - first));
  }
  for (size_t i = 0; i < count; ++i) active[i]->md5().consume(blocks);
}

// Brings every lane to where it has bytes to hash, and hashes them as far as all of them go.
Status Run::step(Lanes* lanes, PhaseTimes* times) {
  for (size_t i = 0; i < lanes->size();) {
    Lane& lane = *(*lanes)[i];
    if (stopped_.load(std::memory_order_relaxed)) return Status::ok();
    const Status status = lane.advance(times);
    if (!status.is_ok()) return status;
    bytes_made_.fetch_add(lane.take_progress(), std::memory_order_relaxed);
    if (lane.complete()) {
      LanePtr done = std::move((*lanes)[i]);
      lanes->erase(lanes->begin() + static_cast<std::ptrdiff_t>(i));
      complete(std::move(done));
    } else {
      ++i;
    }
  }
  if (!lanes->empty()) hash(*lanes, times);
  return Status::ok();
}

void Run::work() {
  Lanes lanes;
  PhaseTimes times;
  while (refill(&lanes)) {
    const Status status = step(&lanes, &times);
    if (!status.is_ok()) fail(status);
    share(&lanes);
  }
  worker_left(times);
}

void Run::complete(LanePtr lane) {
  std::unique_lock<std::mutex> lock(mutex_);
  files_changed_.wait(lock, [this] { return finished_.size() < kMaxUnsynced || stopped_.load(); });
  --held_;
  finished_.push_back(std::move(lane));
  files_changed_.notify_all();
  if (held_ == 0 && waiting_.empty() && shared_.empty()) work_changed_.notify_all();
}

void Run::worker_left(const PhaseTimes& times) {
  std::lock_guard<std::mutex> lock(mutex_);
  times_.compute += times.compute;
  times_.hash += times.hash;
  times_.write += times.write;
  --working_;
  files_changed_.notify_all();
}

void Run::report(LanePtr lane) {
  PhaseTimes times;
  Status status = Status::ok();
  if (options_.sync) {
    PhaseTimer timer(&times.sync);
    status = lane->sync();
  }
  lane->close();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    times_.sync += times.sync;
  }
  if (!status.is_ok()) return fail(status);
  listener_->on_shard(lane->shard().id, lane->digest(), lane->statistics());
}

// Makes finished files durable, tells the listener, and ends the run.
void Run::finish_files() {
  for (;;) {
    LanePtr lane;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      files_changed_.wait(lock, [this] { return !finished_.empty() || working_ == 0; });
      if (finished_.empty()) break;
      lane = std::move(finished_.front());
      finished_.pop_front();
      files_changed_.notify_all();
    }
    report(std::move(lane));
  }
  Status status = Status::ok();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    status = failure_;
  }
  listener_->on_finish(status);
}

}  // namespace mlc
