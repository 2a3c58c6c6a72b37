// Runs the engine without Node, for ThreadSanitizer, which cannot look into one: the same shards
// with few and many threads, lanes and chunks made ahead, whole and cancelled.
//   engine-check FOLDER
// Every file must be what one thread wrote, and every digest that of its file. Prints what differs;
// the exit status says whether anything did.
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../engine/run.h"

namespace {

using mlc::DType;
using mlc::Encoding;

constexpr uint64_t kCols = 256;
constexpr size_t kGroup = 32;
using Digest = std::array<uint8_t, 16>;

// Rows of a table, and where it lies among those of the source.
struct Table {
  uint64_t first_row;
  uint64_t rows;
};
// The first takes longer alone than all others together.
constexpr Table kTables[] = {{0, 6000}, {6000, 1000}, {7000, 900}, {7900, 700}, {8600, 8}};
constexpr uint64_t kRows = 8608;

// Sixteen bits an element, as bfloat16 of ordinary size.
void write_source(const std::string& path) {
  std::vector<uint16_t> elements(kRows * kCols);
  uint32_t state = 1;
  for (uint16_t& element : elements) {
    state = state * 1664525 + 1013904223;
    element = static_cast<uint16_t>(0x3000 + (state >> 16 & 0x8fff));
  }
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(elements.data()), kRows * kCols * 2);
}

mlc::Piece piece_of(const Table& table, Encoding encoding, DType model) {
  mlc::Block block = {};
  block.type.dtype = DType::kBf16;
  block.byte_offset = table.first_row * kCols * 2;
  block.rank = 1;
  block.count = block.extent[0] = table.rows * kCols;
  block.stride[0] = 1;
  mlc::Piece piece = {};
  piece.encoding = encoding;
  piece.model = model;
  piece.rows = table.rows;
  piece.cols = kCols;
  piece.bits = 4;
  piece.group = kGroup;
  piece.gather.blocks = {block};
  piece.gather.ends = {block.count};
  piece.gather.count = block.count;
  piece.nbytes = mlc::encoded_bytes(piece);
  return piece;
}

mlc::Shard shard_of(uint32_t id, const std::string& folder, std::vector<mlc::Piece> pieces) {
  mlc::Shard shard = {};
  shard.id = id;
  shard.path = folder + "/" + std::to_string(id);
  shard.truncate = true;
  for (const mlc::Piece& piece : pieces) shard.nbytes += piece.nbytes;
  shard.pieces = std::move(pieces);
  return shard;
}

// Copies, casts, words, and the scales of other shards' words.
std::vector<mlc::Shard> shards(const std::string& folder) {
  std::vector<mlc::Shard> all;
  std::vector<mlc::Piece> scales;
  const auto add = [&](std::vector<mlc::Piece> pieces) {
    all.push_back(shard_of(static_cast<uint32_t>(all.size()), folder, std::move(pieces)));
  };
  for (const Table& table : kTables) {
    add({piece_of(table, Encoding::kRaw, DType::kF16)});
    const DType model = table.rows == 1000 ? DType::kF32 : DType::kF16;
    mlc::Piece words = piece_of(table, Encoding::kGroupWords, model);
    words.transposed = table.rows == 900;
    mlc::Piece made_with = piece_of(table, Encoding::kGroupScales, model);
    made_with.transposed = words.transposed;
    made_with.store_bf16_scale = model == DType::kF32;
    made_with.nbytes = mlc::encoded_bytes(made_with);
    words.pair = made_with.pair = static_cast<uint32_t>(all.size());
    scales.push_back(made_with);
    add({piece_of(table, Encoding::kRaw, DType::kBf16), words});
  }
  add(std::move(scales));
  return all;
}

struct Listener : mlc::RunListener {
  void on_shard(uint32_t id, const Digest& md5, const std::vector<mlc::Statistics>&) override {
    digests[id] = md5;
  }
  void on_finish(const mlc::Status& status) override {
    std::lock_guard<std::mutex> lock(mutex);
    code = status.is_ok() ? "ok" : status.code();
    finished.notify_all();
  }
  std::string wait() {
    std::unique_lock<std::mutex> lock(mutex);
    finished.wait(lock, [this] { return !code.empty(); });
    return code;
  }

  std::map<uint32_t, Digest> digests;
  std::mutex mutex;
  std::condition_variable finished;
  std::string code;
};

std::vector<uint8_t> content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::vector<uint8_t>(std::istreambuf_iterator<char>(file), {});
}

Digest digest_of(const std::vector<uint8_t>& bytes, const mlc::KernelTable& kernels) {
  mlc::Md5Stream md5;
  md5.feed({bytes.data(), bytes.size()}, kernels.md5);
  mlc::Md5State* state = md5.state();
  const uint8_t* data = md5.next();
  if (md5.blocks() > 0) kernels.md5.update(&state, &data, md5.blocks(), 1);
  md5.consume(md5.blocks());
  return md5.finish(kernels.md5);
}

class Check {
 public:
  Check(std::string folder, const mlc::KernelTable& kernels)
      : folder_(std::move(folder)), kernels_(kernels) {
    write_source(folder_ + "/source");
  }

  void run(mlc::RunOptions options, int cancel_after_us = -1) {
    options.kernels = &kernels_;
    mlc::Sources sources;
    sources.emplace_back(new mlc::SourceFile());
    const std::string source = folder_ + "/source";
    if (!sources[0]->open(source, kRows * kCols * 2, true).is_ok()) return fail("source", options);
    Listener listener;
    mlc::Run run(std::move(sources), options, &listener);
    for (mlc::Shard& shard : shards(folder_)) run.add(std::move(shard));
    run.start();
    if (cancel_after_us >= 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(cancel_after_us));
      run.cancel();
    }
    const std::string code = listener.wait();
    run.close_files();
    // What is cancelled late may be done.
    const bool cancelled = cancel_after_us >= 0 && code == "E_ABORTED";
    if (code != "ok" && !cancelled) fail(code.c_str(), options);
    for (const auto& [id, md5] : listener.digests) compare(id, md5, options);
    if (code == "ok" && listener.digests.size() != first_.size())
      fail("a shard is missing", options);
  }

  int failures() const { return failures_; }

 private:
  void compare(uint32_t id, const Digest& md5, const mlc::RunOptions& options) {
    const std::vector<uint8_t> bytes = content(folder_ + "/" + std::to_string(id));
    if (digest_of(bytes, kernels_) != md5) fail("a digest is not that of its file", options);
    const auto known = first_.emplace(id, bytes);
    if (known.first->second != bytes) fail("a file differs", options);
  }

  void fail(const char* what, const mlc::RunOptions& options) {
    ++failures_;
    std::printf("%s: %zu threads, %zu lanes, %zu ahead, %llu bytes for scales\n", what,
                options.threads, options.lanes, options.ahead,
                static_cast<unsigned long long>(options.kept_bytes));
  }

  std::string folder_;
  const mlc::KernelTable& kernels_;
  std::map<uint32_t, std::vector<uint8_t>> first_;
  int failures_ = 0;
};

mlc::RunOptions limits(size_t threads, size_t lanes, size_t ahead, uint64_t kept_bytes) {
  mlc::RunOptions options;
  options.threads = threads;
  options.lanes = lanes;
  options.ahead = ahead;
  options.kept_bytes = kept_bytes;
  options.tile_bytes = 4096;
  options.sync = false;
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: engine-check FOLDER\n");
    return 2;
  }
  Check check(argv[1], mlc::best_backend());
  check.run(limits(1, 1, 0, 0));
  for (const uint64_t kept_bytes : {0, 20000, 1 << 20}) {
    for (const size_t lanes : {1, 3, 16}) {
      for (const size_t ahead : {0, 1, 4}) check.run(limits(4, lanes, ahead, kept_bytes));
    }
  }
  for (int delay = 0; delay < 20; ++delay) {
    check.run(limits(3, 16, 2, 1 << 20), delay * 700);
  }
  std::printf("%d failed\n", check.failures());
  return check.failures() == 0 ? 0 : 1;
}
