// Drives the GGUF block kernels from a test without Node: one request a line on stdin,
//   <backend> <quantize|dequantize> <type> <hex bytes>
// and one answer a line on stdout: the result in hex, or `error: reason`. `<backend> bench <type>`
// answers with gigabytes of float32 a second, for quantize and dequantize,
// the best of five rounds.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "../kernels/reference/ggml.h"

namespace {

using mlc::GgmlKernels;
using mlc::GgmlType;

struct Named {
  const char* name;
  GgmlType type;
};

constexpr Named kTypes[] = {
    {"Q8_0", GgmlType::kQ8_0},   {"Q4_0", GgmlType::kQ4_0},    {"Q4_1", GgmlType::kQ4_1},
    {"Q5_0", GgmlType::kQ5_0},   {"Q5_1", GgmlType::kQ5_1},    {"Q2_K", GgmlType::kQ2K},
    {"Q3_K", GgmlType::kQ3K},    {"Q4_K", GgmlType::kQ4K},     {"Q5_K", GgmlType::kQ5K},
    {"Q6_K", GgmlType::kQ6K},    {"IQ4_NL", GgmlType::kIq4Nl}, {"IQ4_XS", GgmlType::kIq4Xs},
    {"MXFP4", GgmlType::kMxfp4},
};

// Null if there is no such backend or this machine cannot run it.
const GgmlKernels* kernels_named(const std::string& name) {
  mlc::Backend list[8];
  const size_t count = mlc::list_backends(list, 8);
  for (size_t i = 0; i < count && i < 8; ++i) {
    if (name == list[i].name && list[i].table != nullptr) return &list[i].table->ggml;
  }
  return nullptr;
}

const GgmlType* type_named(const std::string& name) {
  for (const Named& entry : kTypes) {
    if (name == entry.name) return &entry.type;
  }
  return nullptr;
}

bool parse_hex(const std::string& text, std::vector<uint8_t>* out) {
  if (text.size() % 2 != 0) return false;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0) return false;
    out->push_back(static_cast<uint8_t>(high * 16 + low));
  }
  return true;
}

void print_hex(const std::vector<uint8_t>& bytes) {
  static const char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2 + 1);
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  std::cout << text << '\n';
}

// Runs on memory at an odd address, since kernels promise to take any.
void transform(const GgmlKernels& kernels, bool quantize, GgmlType type,
               const std::vector<uint8_t>& bytes) {
  const mlc::GgmlLayout layout = mlc::ggml_layout(type);
  const size_t float_bytes = static_cast<size_t>(layout.block_elements) * 4;
  const size_t block_bytes = static_cast<size_t>(layout.block_bytes);
  const size_t blocks = bytes.size() / (quantize ? float_bytes : block_bytes);
  if (blocks * (quantize ? float_bytes : block_bytes) != bytes.size()) {
    std::cout << "error: not a whole number of blocks\n";
    return;
  }
  std::vector<uint8_t> source(1, 0), result(1 + blocks * (quantize ? block_bytes : float_bytes));
  source.insert(source.end(), bytes.begin(), bytes.end());
  const size_t count = blocks * static_cast<size_t>(layout.block_elements);
  (quantize ? kernels.quantize : kernels.dequantize)(type, source.data() + 1, result.data() + 1,
                                                     count);
  result.erase(result.begin());
  print_hex(result);
}

double gigabytes_a_second(size_t bytes, const std::chrono::steady_clock::time_point& start) {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return static_cast<double>(bytes) / elapsed.count() / 1e9;
}

void bench(const GgmlKernels& kernels, GgmlType type) {
  constexpr size_t kCount = 1 << 20;
  std::vector<float> values(kCount);
  uint32_t state = 1;
  for (float& value : values) {
    int sum = 0;
    for (int i = 0; i < 4; ++i) {
      state = state * 1664525u + 1013904223u;
      sum += static_cast<int>(state >> 20) - 2048;
    }
    value = static_cast<float>(sum) / 131072.0f;
  }
  std::vector<uint8_t> blocks(kCount * 2);
  auto* bytes = reinterpret_cast<uint8_t*>(values.data());
  std::vector<uint8_t> result(kCount * 4);
  double quantize = 0, dequantize = 0;
  for (int round = 0; round < 5; ++round) {
    const auto start = std::chrono::steady_clock::now();
    kernels.quantize(type, bytes, blocks.data(), kCount);
    quantize = std::max(quantize, gigabytes_a_second(kCount * 4, start));
    const auto middle = std::chrono::steady_clock::now();
    kernels.dequantize(type, blocks.data(), result.data(), kCount);
    dequantize = std::max(dequantize, gigabytes_a_second(kCount * 4, middle));
  }
  std::printf("%.3f %.3f\n", quantize, dequantize);
  std::fflush(stdout);
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string backend, action, name, hex;
    words >> backend >> action >> name >> hex;
    const GgmlKernels* kernels = kernels_named(backend);
    const GgmlType* type = type_named(name);
    std::vector<uint8_t> bytes;
    if (kernels == nullptr) {
      std::cout << "error: backend cannot run here\n";
    } else if (type == nullptr) {
      std::cout << "error: unknown type\n";
    } else if (action == "bench") {
      bench(*kernels, *type);
    } else if ((action != "quantize" && action != "dequantize") || !parse_hex(hex, &bytes)) {
      std::cout << "error: malformed request\n";
    } else {
      transform(*kernels, action == "quantize", *type, bytes);
    }
    std::cout.flush();
  }
  return 0;
}
