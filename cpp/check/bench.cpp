// GB/s of source for each kernel, on data that stays in the second-level cache.
#include <chrono>
#include <cstdio>
#include <functional>

#include "context.h"

namespace mlc::check {
namespace {

constexpr size_t kElements = 128 * 1024;
constexpr size_t kCols = 2048;
constexpr size_t kRows = kElements / kCols;

struct Case {
  std::string name;
  size_t source_nbytes;
  std::function<void()> call;
};

double rate_of(const Case& bench, double seconds) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  do {
    const auto start = Clock::now();
    bench.call();
    const double taken = std::chrono::duration<double>(Clock::now() - start).count();
    const double rate = static_cast<double>(bench.source_nbytes) / taken / 1e9;
    if (rate > best) best = rate;
  } while (Clock::now() < end);
  return best;
}

struct Buffers {
  Bytes bf16{kElements * 2};
  Bytes f16{kElements * 2};
  Bytes f32{kElements * 4};
  Bytes out{kElements * 4};
  Bytes scales{kElements};

  const uint8_t* of(DType dtype) const {
    return dtype == DType::kF32 ? f32.data() : dtype == DType::kF16 ? f16.data() : bf16.data();
  }
};

struct GroupCase {
  const char* name;
  DType model;
  uint8_t bits;
  bool transposed;
  bool measured = false;
};

constexpr GroupCase kGroupCases[] = {
    {"q4f16_1", DType::kF16, 4, false},
    {"q4f16_0", DType::kF16, 4, true},
    {"q4bf16_1", DType::kBf16, 4, false},
    {"q4bf16_0", DType::kBf16, 4, true},
    {"q4f32_1", DType::kF32, 4, false},
    {"q3f16_1", DType::kF16, 3, false},
    {"q3f16_0", DType::kF16, 3, true},
    {"q4f16_1, measured", DType::kF16, 4, false, true},
    {"q4f16_0, measured", DType::kF16, 4, true, true},
    {"q4bf16_1, measured", DType::kBf16, 4, false, true},
    {"q3f16_1, measured", DType::kF16, 3, false, true},
};

Case group_case(const KernelTable& table, const GroupCase& which, DType from, Buffers& buffers) {
  GroupQuantizeArgs args = {};
  args.group = which.bits == 4 ? 32 : 40;
  const size_t groups = (kCols + args.group - 1) / args.group;
  const size_t scale = size_of(which.model);
  args.src = buffers.of(from);
  args.src_row_stride = kCols * size_of(from);
  args.rows = kRows;
  args.cols = kCols;
  args.words = buffers.out.data();
  args.scales = buffers.scales.data();
  args.word_row_stride = which.transposed ? 4 : groups * 16;
  args.word_stride = which.transposed ? kRows * 4 : 4;
  args.scale_row_stride = which.transposed ? scale : groups * scale;
  args.scale_stride = which.transposed ? kRows * scale : scale;
  args.from = from;
  args.model = which.model;
  args.bits = which.bits;
  args.divide_by_unrounded_scale = which.transposed && which.model == DType::kBf16;
  return {std::string("group ") + which.name + " from " + name_of(from), kElements * size_of(from),
          [args, measured = which.measured, statistics = Statistics{}, &table]() mutable {
            args.statistics = measured ? &statistics : nullptr;
            table.group.quantize(&args);
          }};
}

std::vector<Case> element_cases(const KernelTable& table, Buffers& buffers) {
  std::vector<Case> cases;
  constexpr DType kFloats[] = {DType::kBf16, DType::kF16, DType::kF32};
  uint8_t* out = buffers.out.data();
  for (DType from : kFloats) {
    for (DType to : kFloats) {
      if (from == to) continue;
      cases.push_back({std::string("cast ") + name_of(from) + " to " + name_of(to),
                       kElements * size_of(from), [from, to, out, &table, &buffers] {
                         table.element.cast(from, to, buffers.of(from), out, kElements);
                       }});
    }
  }
  for (DType dtype : kFloats) {
    cases.push_back({std::string("add_one ") + name_of(dtype), kElements * size_of(dtype),
                     [dtype, out, &table, &buffers] {
                       table.element.add_one(dtype, buffers.of(dtype), out, kElements);
                     }});
  }
  cases.push_back({"encode_bf16", kElements * 4, [out, &table, &buffers] {
                     table.element.encode_bf16(buffers.f32.data(), out, kElements);
                   }});
  return cases;
}

std::vector<Case> other_cases(const KernelTable& table, Buffers& buffers) {
  std::vector<Case> cases;
  uint8_t* out = buffers.out.data();
  const uint8_t* f16 = buffers.f16.data();
  cases.push_back({"fp8 absmax", kElements * 2, [f16, &table] {
                     uint16_t running = 0;
                     table.fp8.absmax(f16, kElements, &running);
                   }});
  for (bool measured : {false, true}) {
    const std::string how = measured ? ", measured" : "";
    cases.push_back({"fp8 e4m3" + how, kElements * 2, [f16, out, measured, &table] {
                       Statistics statistics = {};
                       table.fp8.encode(Fp8::kE4m3, f16, 0.001f, out, kElements,
                                        measured ? &statistics : nullptr);
                     }});
    cases.push_back({"fp8 e5m2" + how, kElements * 2, [f16, out, measured, &table] {
                       Statistics statistics = {};
                       table.fp8.encode(Fp8::kE5m2, f16, 1.0f, out, kElements,
                                        measured ? &statistics : nullptr);
                     }});
    cases.push_back({"ft" + how, kElements * 2, [f16, out, measured, &table, &buffers] {
                       Statistics statistics = {};
                       table.ft.quantize(f16, kRows, kCols, out, buffers.scales.data(),
                                         measured ? &statistics : nullptr);
                     }});
  }
  const uint8_t* bf16 = buffers.bf16.data();
  cases.push_back({"statistics count bf16", kElements * 2, [bf16, &table] {
                     Statistics statistics = {};
                     table.statistics.count(DType::kBf16, DType::kF16, bf16, kElements,
                                            &statistics);
                   }});
  cases.push_back({"statistics compare bf16, f16", kElements * 2, [bf16, f16, &table] {
                     Statistics statistics = {};
                     const CompareArgs args = {DType::kBf16, DType::kF16, Stored::kF16, 1.0f,
                                               bf16,         f16,         kElements};
                     table.statistics.compare(&args, &statistics);
                   }});
  const size_t lanes = table.md5.lanes;
  const size_t blocks = kElements * 4 / lanes / 64 - 1;
  cases.push_back({"md5, " + std::to_string(lanes) + " streams", blocks * 64 * lanes,
                   [lanes, blocks, &table, &buffers] {
                     std::vector<Md5State> states(lanes);
                     std::vector<Md5State*> pointers;
                     std::vector<const uint8_t*> data;
                     for (size_t i = 0; i < lanes; ++i) {
                       pointers.push_back(&states[i]);
                       data.push_back(buffers.f32.data() + i * blocks * 64);
                     }
                     table.md5.update(pointers.data(), data.data(), blocks, lanes);
                   }});
  return cases;
}

}  // namespace

size_t run_bench(const KernelTable& table, const BenchOptions& options) {
  Buffers buffers;
  Chance chance(1);
  fill(chance, DType::kBf16, Spread::kWeights, buffers.bf16.data(), kElements);
  fill(chance, DType::kF16, Spread::kWeights, buffers.f16.data(), kElements);
  fill(chance, DType::kF32, Spread::kWeights, buffers.f32.data(), kElements);

  std::vector<Case> cases;
  for (const GroupCase& which : kGroupCases) {
    for (DType from : {DType::kBf16, DType::kF16, DType::kF32}) {
      cases.push_back(group_case(table, which, from, buffers));
    }
  }
  for (Case& bench : element_cases(table, buffers)) cases.push_back(std::move(bench));
  for (Case& bench : other_cases(table, buffers)) cases.push_back(std::move(bench));
  size_t measured = 0;
  for (const Case& bench : cases) {
    if (options.only != nullptr && bench.name.rfind(options.only, 0) != 0) continue;
    ++measured;
    const double rate = rate_of(bench, options.seconds);
    if (options.json) {
      std::printf("{\"backend\":\"%s\",\"kernel\":\"%s\",\"gbPerSecond\":%.3f}\n", table.name,
                  bench.name.c_str(), rate);
    } else {
      std::printf("%-10s %-28s %8.2f GB/s\n", table.name, bench.name.c_str(), rate);
    }
  }
  return measured;
}

}  // namespace mlc::check
