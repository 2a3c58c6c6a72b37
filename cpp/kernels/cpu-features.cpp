#include "cpu-features.h"

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif

namespace mlc {
namespace {

struct Leaf {
  uint32_t eax, ebx, ecx, edx;
};

Leaf cpuid(uint32_t leaf, uint32_t subleaf) {
#if defined(_MSC_VER)
  int regs[4];
  __cpuidex(regs, static_cast<int>(leaf), static_cast<int>(subleaf));
  return {static_cast<uint32_t>(regs[0]), static_cast<uint32_t>(regs[1]),
          static_cast<uint32_t>(regs[2]), static_cast<uint32_t>(regs[3])};
#else
  Leaf out = {0, 0, 0, 0};
  if (__get_cpuid_max(0, nullptr) >= leaf) {
    __cpuid_count(leaf, subleaf, out.eax, out.ebx, out.ecx, out.edx);
  }
  return out;
#endif
}

// The register sets that the operating system saves at a context switch (XCR0).
uint64_t saved_by_system() {
  const bool osxsave = (cpuid(1, 0).ecx >> 27) & 1;
  if (!osxsave) return 0;
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
#endif
}

constexpr uint64_t kYmmState = 0x06;  // SSE and AVX registers
constexpr uint64_t kZmmState = 0xE6;  // and the mask and 512-bit registers

bool has(uint32_t word, unsigned bit) { return ((word >> bit) & 1) != 0; }

}  // namespace

const char* why_no_avx2() {
  const Leaf one = cpuid(1, 0);
  const Leaf seven = cpuid(7, 0);
  if (!has(one.ecx, 28) || !has(seven.ebx, 5)) return "the processor has no AVX2";
  if (!has(one.ecx, 29)) return "the processor has no F16C";
  if (!has(one.ecx, 12)) return "the processor has no FMA";
  if ((saved_by_system() & kYmmState) != kYmmState) {
    return "the operating system does not save AVX registers";
  }
  return nullptr;
}

const char* why_no_avx512() {
  if (const char* reason = why_no_avx2()) return reason;
  const uint32_t ebx = cpuid(7, 0).ebx;
  const bool foundation = has(ebx, 16);
  if (!foundation) return "the processor has no AVX-512";
  const bool complete = has(ebx, 17) && has(ebx, 30) && has(ebx, 31);  // DQ, BW, VL
  if (!complete) return "the processor lacks AVX-512 BW, DQ or VL";
  if ((saved_by_system() & kZmmState) != kZmmState) {
    return "the operating system does not save AVX-512 registers";
  }
  return nullptr;
}

const char* why_no_neon() { return "the processor is x64, not arm64"; }

}  // namespace mlc

#else

namespace mlc {

const char* why_no_avx2() { return "the processor is not x64"; }
const char* why_no_avx512() { return "the processor is not x64"; }

#if defined(__aarch64__) || defined(_M_ARM64)
const char* why_no_neon() { return nullptr; }  // part of every arm64 processor
#else
const char* why_no_neon() { return "the processor is not arm64"; }
#endif

}  // namespace mlc

#endif
