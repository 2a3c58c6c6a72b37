// What the machine can do at best: every phase of a conversion alone, on all threads, without Node.
//   bench-floor SOURCE FOLDER OUTPUT_BYTES LONGEST_SHARD THREADS SCHEME
// reads SOURCE (mapped) and lets go of it, quantizes or casts as many bytes of bfloat16 from cache
// as SCHEME says (q4f16_1, q3f16_0, q0f32 and their like), hashes OUTPUT_BYTES from cache, and
// writes OUTPUT_BYTES into new files of FOLDER. MD5 goes in full vectors of lanes, but for a shard
// of LONGEST_SHARD bytes that is longer than a lane's share: that one is a stream of its own.
// Prints seconds of work divided by the threads as JSON.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "../engine/file.h"
#include "../kernels/kernels.h"

namespace {

constexpr size_t kChunk = 256 * 1024;
constexpr size_t kFileBytes = 32u << 20;
constexpr size_t kCols = 2048;

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Runs work(thread) on every thread and waits for all.
double on_threads(size_t threads, const std::function<void(size_t)>& work) {
  return seconds([&] {
    std::vector<std::thread> workers;
    for (size_t i = 0; i < threads; ++i) workers.emplace_back(work, i);
    for (std::thread& worker : workers) worker.join();
  });
}

volatile uint64_t g_sink;

void read_share(const uint8_t* data, uint64_t bytes) {
  uint64_t sum = 0;
  for (uint64_t at = 0; at + 8 <= bytes; at += 8) {
    uint64_t word;
    std::memcpy(&word, data + at, 8);
    sum += word;
  }
  g_sink = sum;
}

struct Scheme {
  unsigned bits = 0;  // 0: the values are stored as the model's type
  mlc::DType model = mlc::DType::kF16;
  bool transposed = false;
};

// `q`, bits, the model's type, `_0` for the transposed order.
bool parse_scheme(const std::string& name, Scheme* scheme) {
  if (name.size() < 5 || name[0] != 'q') return false;
  scheme->bits = static_cast<unsigned>(name[1] - '0');
  scheme->transposed = name.size() > 2 && name.compare(name.size() - 2, 2, "_0") == 0;
  const std::string type = name.substr(2, name.find('_') - 2);
  if (type == "f16") scheme->model = mlc::DType::kF16;
  if (type == "f32") scheme->model = mlc::DType::kF32;
  if (type == "bf16") scheme->model = mlc::DType::kBf16;
  return scheme->bits == 0 || scheme->bits == 3 || scheme->bits == 4;
}

mlc::GroupQuantizeArgs group_args(const Scheme& scheme, size_t rows) {
  const size_t unit = scheme.model == mlc::DType::kF32 ? 4 : 2;
  mlc::GroupQuantizeArgs args = {};
  args.group = scheme.bits == 3 ? 40 : 32;
  args.cols = kCols / args.group * args.group;
  args.rows = rows;
  args.src_row_stride = kCols * 2;
  args.bits = scheme.bits;
  args.from = mlc::DType::kBf16;
  args.model = scheme.model;
  const size_t groups = args.cols / args.group;
  args.word_row_stride = scheme.transposed ? 4 : groups * 16;
  args.word_stride = scheme.transposed ? rows * 4 : 4;
  args.scale_row_stride = scheme.transposed ? unit : groups * unit;
  args.scale_stride = scheme.transposed ? rows * unit : unit;
  return args;
}

void compute_share(const mlc::KernelTable& kernels, const Scheme& scheme, const uint8_t* sample,
                   uint64_t bytes) {
  std::vector<uint8_t> source(sample, sample + kChunk);
  std::vector<uint8_t> result(2 * kChunk);
  std::vector<uint8_t> scales(kChunk);
  mlc::GroupQuantizeArgs args = group_args(scheme, kChunk / (kCols * 2));
  args.src = source.data();
  args.words = result.data();
  args.scales = scales.data();
  for (uint64_t done = 0; done < bytes; done += kChunk) {
    if (scheme.bits > 0) {
      kernels.group.quantize(&args);
    } else if (scheme.model != mlc::DType::kBf16) {
      kernels.element.cast(mlc::DType::kBf16, scheme.model, source.data(), result.data(),
                           kChunk / 2);
    }
  }
}

void hash_share(const mlc::Md5Kernels& md5, uint64_t bytes, size_t lanes) {
  constexpr size_t kLaneBytes = 64 * 1024;
  // Staggered: equal page offsets would compete for the same cache sets.
  std::vector<uint8_t> data(lanes * (kLaneBytes + 320));
  std::vector<mlc::Md5State> states(lanes);
  std::vector<mlc::Md5State*> state_of;
  std::vector<const uint8_t*> data_of;
  for (size_t lane = 0; lane < lanes; ++lane) {
    state_of.push_back(&states[lane]);
    data_of.push_back(data.data() + lane * (kLaneBytes + 320));
  }
  for (uint64_t done = 0; done < bytes; done += lanes * kLaneBytes) {
    md5.update(state_of.data(), data_of.data(), kLaneBytes / 64, lanes);
  }
}

// Vectors hold all shards only where the longest is no longer than what each lane gets.
double hash(const mlc::Md5Kernels& md5, uint64_t output, uint64_t longest, size_t threads) {
  const uint64_t alone = longest > output / md5.lanes ? longest : 0;
  const double stream = on_threads(1, [&](size_t) { hash_share(md5, alone, 1); });
  const uint64_t share = (output - alone) / threads;
  return stream / static_cast<double>(threads) +
         on_threads(threads, [&](size_t) { hash_share(md5, share, md5.lanes); });
}

void write_share(const std::string& prefix, uint64_t bytes) {
  std::vector<uint8_t> chunk(kChunk, 0x5a);
  for (uint64_t done = 0, index = 0; done < bytes; ++index) {
    mlc::OutputFile file;
    const uint64_t size = bytes - done < kFileBytes ? bytes - done : kFileBytes;
    if (!file.open(prefix + std::to_string(index), true).is_ok()) std::exit(1);
    for (uint64_t at = 0; at < size; at += kChunk) {
      const size_t step = static_cast<size_t>(size - at < kChunk ? size - at : kChunk);
      if (!file.write(at, chunk.data(), step).is_ok()) std::exit(1);
    }
    done += size;
  }
}

void remove_share(const std::string& prefix) {
  for (uint64_t index = 0; std::remove((prefix + std::to_string(index)).c_str()) == 0;) ++index;
}

}  // namespace

int main(int argc, char** argv) {
  Scheme scheme;
  if (argc != 7 || !parse_scheme(argv[6], &scheme)) {
    std::fprintf(stderr,
                 "usage: bench-floor SOURCE FOLDER OUTPUT_BYTES LONGEST_SHARD THREADS SCHEME\n");
    return 2;
  }
  const std::string folder = argv[2];
  const uint64_t output = std::strtoull(argv[3], nullptr, 10);
  const uint64_t longest = std::strtoull(argv[4], nullptr, 10);
  const size_t threads = std::strtoull(argv[5], nullptr, 10);
  std::FILE* handle = std::fopen(argv[1], "rb");
  if (handle == nullptr || std::fseek(handle, 0, SEEK_END) != 0) return 2;
  const uint64_t size = static_cast<uint64_t>(std::ftell(handle));
  std::fclose(handle);
  mlc::SourceFile source;
  if (!source.open(argv[1], size, true).is_ok()) return 2;
  const uint8_t* data = source.bytes(0, 0, nullptr);
  const mlc::KernelTable& kernels = mlc::best_backend();
  const uint64_t share = size / threads / 8 * 8;
  const uint64_t output_share = output / threads;

  // Mapped pages are entered and let go of again, now or when a process ends.
  const double read = on_threads(threads, [&](size_t i) {
    read_share(data + i * share, share);
    source.release(i * share, share);
  });
  const double compute =
      on_threads(threads, [&](size_t) { compute_share(kernels, scheme, data + size / 2, share); });
  const double hashing = hash(kernels.md5, output, longest, threads);
  const auto prefix = [&](size_t i) { return folder + "/floor-" + std::to_string(i) + "-"; };
  const auto write_all = [&](size_t i) { write_share(prefix(i), output_share); };
  // Once before it is timed: the host may have to give the memory first, which is not writing.
  on_threads(threads, write_all);
  for (size_t i = 0; i < threads; ++i) remove_share(prefix(i));
  const double write = on_threads(threads, write_all);
  std::printf("{\"backend\":\"%s\",\"read\":%.6f,\"compute\":%.6f,\"hash\":%.6f,\"write\":%.6f}\n",
              kernels.name, read, compute, hashing, write);
  return 0;
}
