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

bool has_less_left(const Lane* a, const Lane* b) { return a->left() < b->left(); }

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
  lanes_.clear();
  finished_.clear();
  sources_.clear();
}

// Lets the shard wait for those that make its scales. Scales that no words added before make, or
// that are not the first of their pair, lose it: they are made by a look at the source. So do words
// whose pair is taken.
void Run::pair(Shard* shard) {
  for (Piece& piece : shard->pieces) {
    if (piece.pair == 0) continue;
    if (makes_scales(piece.encoding)) {
      if (!makers_.emplace(piece.pair, Maker{shard, &piece}).second) piece.pair = 0;
      continue;
    }
    const auto found = makers_.find(piece.pair);
    Piece* words = found == makers_.end() ? nullptr : found->second.words;
    if (words == nullptr || !are_scales_of(piece, *words)) {
      piece.pair = 0;
      continue;
    }
    words->store_bf16_scale = piece.store_bf16_scale;
    found->second.words = nullptr;
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

// What would take as long alone as the workers need for all that is left: if it waited for others
// to be hashed with, it would be the last.
bool Run::is_urgent(uint64_t bytes) const {
  const uint64_t left = bytes_total_ - bytes_made();
  return bytes * kCostAlone >= left / options_.threads;
}

bool Run::may_begin(const Shard& shard) const {
  return std::none_of(shard.waits_for.begin(), shard.waits_for.end(),
                      [this](uint32_t id) { return awaited_.count(id) > 0; });
}

Lane* Run::open_lane(std::deque<Shard>::iterator next) {
  Shard shard = std::move(*next);
  waiting_.erase(next);
  const auto is_ahead = [](const LanePtr& lane) { return lane->is_ahead(); };
  const size_t others = std::count_if(lanes_.begin(), lanes_.end(), is_ahead);
  const bool ahead = others < options_.ahead && is_urgent(shard.nbytes_in_all());
  const LaneOptions options = {options_.tile_bytes, options_.sync, ahead};
  lanes_.emplace_back(new Lane(std::move(shard), sources_, *options_.kernels, &kept_, options));
  return lanes_.back().get();
}

// The open lane, or the next shard that may begin, that has most left, of those whose next chunk
// can be made.
Lane* Run::lane_with_most_left() {
  Lane* most = nullptr;
  for (const LanePtr& lane : lanes_) {
    if (!lane->may_advance()) continue;
    if (most == nullptr || has_less_left(most, lane.get())) most = lane.get();
  }
  if (lanes_.size() == options_.lanes) return most;
  const auto next = std::find_if(waiting_.begin(), waiting_.end(),
                                 [this](const Shard& shard) { return may_begin(shard); });
  if (next == waiting_.end()) return most;
  if (most != nullptr && most->left() > next->nbytes_in_all()) return most;
  return open_lane(next);
}

// Those that have most left. Full vectors take longer than half full ones: nobody who is in a hurry
// is put into one.
void Run::take_ready(std::vector<Lane*> ready, Task* task) {
  std::sort(ready.rbegin(), ready.rend(), has_less_left);
  const size_t full = options_.kernels->md5.lanes;
  const size_t most = is_urgent(ready.front()->left()) ? (full + 1) / 2 : full;
  if (ready.size() > most) ready.resize(most);
  for (Lane* lane : ready) lane->begin_hash();
  task->lanes = std::move(ready);
  task->hashes = true;
}

// Full vectors are hashed at once, others when nothing else can be done or somebody waits for them.
bool Run::choose(Task* task) {
  std::vector<Lane*> ready;
  bool urgent = false;
  for (const LanePtr& lane : lanes_) {
    if (!lane->may_hash()) continue;
    ready.push_back(lane.get());
    urgent = urgent || is_urgent(lane->left());
  }
  if (urgent || ready.size() >= options_.kernels->md5.lanes) {
    take_ready(std::move(ready), task);
  } else if (Lane* lane = lane_with_most_left()) {
    lane->begin_advance();
    task->lanes.assign(1, lane);
    task->hashes = false;
  } else if (!ready.empty()) {
    take_ready(std::move(ready), task);
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
    if (lanes_.empty() && waiting_.empty()) return false;
    work_changed_.wait(lock);
  }
}

void Run::finish_complete_lanes() {
  const auto first = std::partition(lanes_.begin(), lanes_.end(),
                                    [](const LanePtr& lane) { return !lane->complete(); });
  if (first == lanes_.end()) return;
  for (auto lane = first; lane != lanes_.end(); ++lane) {
    awaited_.erase((*lane)->shard().id);
    finished_.push_back(std::move(*lane));
  }
  lanes_.erase(first, lanes_.end());
  files_changed_.notify_all();
  work_changed_.notify_all();
}

// Gives the lanes of a task back.
void Run::put(Task* task) {
  std::unique_lock<std::mutex> lock(mutex_);
  files_changed_.wait(lock, [this] { return finished_.size() < kMaxUnsynced || stopped_.load(); });
  for (Lane* lane : task->lanes) {
    if (task->hashes) {
      lane->end_hash(task->blocks);
    } else {
      bytes_made_.fetch_add(lane->end_advance(), std::memory_order_relaxed);
    }
  }
  // A single lane that goes on is this worker's own next task, unless others can work on it, too.
  if (task->lanes.size() > 1 || task->lanes[0]->is_ahead()) work_changed_.notify_all();
  // A lane that failed has nothing left, too.
  if (!stopped_.load()) finish_complete_lanes();
}

// Hashes as many blocks as all of the lanes have.
void Run::hash(Task* task, PhaseTimes* times) {
  PhaseTimer timer(&times->hash);
  Md5State* states[kMaxBatch];
  const uint8_t* data[kMaxBatch];
  task->blocks = SIZE_MAX;
  for (size_t i = 0; i < task->lanes.size(); ++i) {
    Md5Stream& md5 = task->lanes[i]->md5();
    states[i] = md5.state();
    data[i] = md5.next();
    task->blocks = std::min(task->blocks, md5.blocks());
  }
  options_.kernels->md5.update(states, data, task->blocks, task->lanes.size());
}

Status Run::carry_out(Task* task, PhaseTimes* times) {
  if (!task->hashes) return task->lanes[0]->advance(times);
  hash(task, times);
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
