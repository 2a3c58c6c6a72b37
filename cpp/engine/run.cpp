#include "run.h"

#include <algorithm>
#include <utility>

namespace mlc {

namespace {

// Streams that one call of a backend's MD5 takes at most.
constexpr size_t kMaxBatch = 32;
// Making and hashing bytes of one lane alone takes about this many times as long as making bytes
// of many and hashing them together.
constexpr uint64_t kCostAlone = 3;
// Files that may wait for being made durable before workers pause.
constexpr size_t kMaxUnsynced = 64;

bool contains(const std::vector<uint32_t>& ids, uint32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

bool has_less_left(const std::unique_ptr<Lane>& a, const std::unique_ptr<Lane>& b) {
  return a->left() < b->left();
}

}  // namespace

Run::Run(Sources sources, const RunOptions& options, RunListener* listener)
    : sources_(std::move(sources)),
      options_(options),
      listener_(listener),
      kept_(options.kept_bytes) {
  options_.lanes = std::max<size_t>(1, options_.lanes);
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

void Run::close_files() {
  end();
  idle_.clear();
  ready_.clear();
  finished_.clear();
  sources_.clear();
}

// Lets the shard wait for those that make its scales. Scales that no words added before make lose
// their pair: they are made by a look at the source. So do words whose pair is taken.
void Run::pair(Shard* shard) {
  for (Piece& piece : shard->pieces) {
    if (piece.pair == 0) continue;
    if (makes_scales(piece.encoding)) {
      if (!makers_.emplace(piece.pair, Maker{shard, &piece}).second) piece.pair = 0;
      continue;
    }
    const auto found = makers_.find(piece.pair);
    if (found == makers_.end() || !are_scales_of(piece, *found->second.words)) {
      piece.pair = 0;
      continue;
    }
    Shard* maker = found->second.shard;
    if (maker == shard || contains(shard->waits_for, maker->id)) continue;
    shard->waits_for.push_back(maker->id);
    maker->nbytes_behind += shard->nbytes;
    awaited_.insert(maker->id);
  }
}

void Run::add(Shard shard) {
  bytes_total_ += shard.nbytes;
  waiting_.push_back(std::move(shard));
  pair(&waiting_.back());
}

void Run::start() {
  makers_.clear();
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

// A lane that would take as long alone as the workers need for all that is left: if it waited for
// others to be hashed with, it would be the last.
bool Run::is_urgent(const Lane& lane) const {
  const uint64_t left = bytes_total_ - bytes_made();
  return lane.left() * kCostAlone >= left / options_.threads;
}

bool Run::may_begin(const Shard& shard) const {
  return std::none_of(shard.waits_for.begin(), shard.waits_for.end(),
                      [this](uint32_t id) { return awaited_.count(id) > 0; });
}

// The open lane, or the next shard that may begin, that has the most bytes to be made.
Run::LanePtr Run::lane_with_most_left() {
  const auto lane = std::max_element(idle_.begin(), idle_.end(), has_less_left);
  const auto next = open_ == options_.lanes
                        ? waiting_.end()
                        : std::find_if(waiting_.begin(), waiting_.end(),
                                       [this](const Shard& shard) { return may_begin(shard); });
  if (next != waiting_.end() &&
      (lane == idle_.end() || (*lane)->left() <= next->nbytes + next->nbytes_behind)) {
    ++open_;
    Shard shard = std::move(*next);
    waiting_.erase(next);
    return LanePtr(new Lane(std::move(shard), sources_, *options_.kernels, &kept_,
                            options_.tile_bytes, options_.sync));
  }
  if (lane == idle_.end()) return nullptr;
  std::swap(*lane, idle_.back());
  LanePtr taken = std::move(idle_.back());
  idle_.pop_back();
  return taken;
}

// Those that have most left. Full vectors take longer than half full ones: nobody who is in a hurry
// is put into one.
void Run::take_ready(Task* task) {
  std::sort(ready_.begin(), ready_.end(), has_less_left);
  const size_t full = options_.kernels->md5.lanes;
  const size_t most = is_urgent(*ready_.back()) ? (full + 1) / 2 : full;
  for (size_t left = std::min(ready_.size(), most); left > 0; --left) {
    task->lanes.push_back(std::move(ready_.back()));
    ready_.pop_back();
  }
  task->hashes = true;
}

// Full vectors are hashed at once, others when nothing else can be done or somebody waits for them.
bool Run::choose(Task* task) {
  const bool full = ready_.size() >= options_.kernels->md5.lanes;
  const bool urgent = std::any_of(ready_.begin(), ready_.end(),
                                  [this](const LanePtr& lane) { return is_urgent(*lane); });
  if (full || urgent) {
    take_ready(task);
  } else if (LanePtr lane = lane_with_most_left()) {
    task->lanes.push_back(std::move(lane));
    task->hashes = false;
  } else if (!ready_.empty()) {
    take_ready(task);
  } else {
    return false;
  }
  return true;
}

// A source that changed or cannot be read explains whatever came of it.
Status Run::cause_of(const Status& status) const {
  const Status found = check(sources_);
  return found.is_ok() ? status : found;
}

// Waits for a task. False when the run is over for this worker.
bool Run::take(Task* task) {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    if (stopped_.load()) return false;
    if (choose(task)) return true;
    if (open_ == 0 && waiting_.empty()) return false;
    work_changed_.wait(lock);
  }
}

// Gives the lanes of a task back, sorted by what is to be done with them.
void Run::put(Task* task) {
  std::unique_lock<std::mutex> lock(mutex_);
  files_changed_.wait(lock, [this] { return finished_.size() < kMaxUnsynced || stopped_.load(); });
  // A single lane that goes on is this worker's own next task.
  const bool more = task->lanes.size() > 1 || task->lanes[0]->complete();
  for (LanePtr& lane : task->lanes) {
    bytes_made_.fetch_add(lane->take_progress(), std::memory_order_relaxed);
    if (lane->complete()) {
      --open_;
      awaited_.erase(lane->shard().id);
      finished_.push_back(std::move(lane));
      files_changed_.notify_all();
    } else if (lane->md5().blocks() > 0) {
      ready_.push_back(std::move(lane));
    } else {
      idle_.push_back(std::move(lane));
    }
  }
  if (more) work_changed_.notify_all();
  task->lanes.clear();
}

// Hashes as many blocks as all of the lanes have.
void Run::hash(const Lanes& lanes, PhaseTimes* times) {
  PhaseTimer timer(&times->hash);
  Md5State* states[kMaxBatch];
  const uint8_t* data[kMaxBatch];
  size_t blocks = SIZE_MAX;
  for (size_t i = 0; i < lanes.size(); ++i) {
    states[i] = lanes[i]->md5().state();
    data[i] = lanes[i]->md5().next();
    blocks = std::min(blocks, lanes[i]->md5().blocks());
  }
  options_.kernels->md5.update(states, data, blocks, lanes.size());
  for (const LanePtr& lane : lanes) lane->md5().consume(blocks);
}

Status Run::carry_out(Task* task, PhaseTimes* times) {
  if (!task->hashes) return task->lanes[0]->advance(times);
  hash(task->lanes, times);
  return Status::ok();
}

void Run::work() {
  Task task;
  PhaseTimes times;
  while (take(&task)) {
    const Status status = carry_out(&task, &times);
    if (!status.is_ok() || have_lost_pages(sources_)) fail(cause_of(status));
    put(&task);
  }
  worker_left(times);
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
  // The last page of a file reads as zeros behind its end, without a word.
  listener_->on_finish(status.is_ok() ? cause_of(status) : status);
}

}  // namespace mlc
