// The one place that knows which backends this build holds, and in which order they are preferred.
#include "backends.h"
#include "cpu-features.h"
#include "ggml-tables.h"

namespace mlc {
namespace {

// What a backend brings. A null part, or a null function in a part, is the reference's.
struct Parts {
  const ElementKernels* element = nullptr;
  const GroupKernels* group = nullptr;
  const Fp8Kernels* fp8 = nullptr;
  const FtKernels* ft = nullptr;
  const Md5Kernels* md5 = nullptr;
  const GgmlKernels* ggml = nullptr;
  const StatisticsKernels* statistics = nullptr;
};

template <typename Function>
void take(Function& into, Function from) {
  if (from != nullptr) into = from;
}

KernelTable reference_table() {
  return {"reference",  kReferenceElement, kReferenceGroup, kReferenceFp8,
          kReferenceFt, kReferenceMd5,     kGgmlReference,  kReferenceStatistics};
}

KernelTable assemble(const char* name, const Parts& parts) {
  KernelTable table = reference_table();
  table.name = name;
  if (parts.element != nullptr) {
    take(table.element.cast, parts.element->cast);
    take(table.element.add_one, parts.element->add_one);
    take(table.element.divide_pow2, parts.element->divide_pow2);
    take(table.element.exp_neg_exp, parts.element->exp_neg_exp);
    take(table.element.encode_bf16, parts.element->encode_bf16);
  }
  if (parts.group != nullptr) take(table.group.quantize, parts.group->quantize);
  if (parts.fp8 != nullptr) {
    take(table.fp8.absmax, parts.fp8->absmax);
    take(table.fp8.encode, parts.fp8->encode);
  }
  if (parts.ft != nullptr) take(table.ft.quantize, parts.ft->quantize);
  if (parts.md5 != nullptr) table.md5 = *parts.md5;
  if (parts.ggml != nullptr) {
    take(table.ggml.dequantize, parts.ggml->dequantize);
    take(table.ggml.quantize, parts.ggml->quantize);
  }
  if (parts.statistics != nullptr) {
    take(table.statistics.count, parts.statistics->count);
    take(table.statistics.compare, parts.statistics->compare);
  }
  return table;
}

struct Candidate {
  const char* name;
  const char* (*why_not)();
  Parts parts;
};

const char* always() { return nullptr; }

#if !(defined(__x86_64__) || defined(_M_X64))
#define MLC_NO_X64 1
#endif

// Best first; the reference is last.
constexpr size_t kCount = 4;

const Candidate* candidates() {
  static const Candidate list[kCount] = {
#if defined(MLC_NO_X64)
    {"avx512", why_no_avx512, {}},
    {"avx2", why_no_avx2, {}},
#else
    {"avx512",
     why_no_avx512,
     {&kAvx512Element, &kAvx512Group, &kAvx512Fp8, &kAvx512Ft, &kAvx512Md5, &kGgmlAvx512,
      &kAvx512Statistics}},
    {"avx2",
     why_no_avx2,
     {&kAvx2Element, &kAvx2Group, &kAvx2Fp8, &kAvx2Ft, &kAvx2Md5, &kGgmlAvx2, &kAvx2Statistics}},
#endif
#if defined(__aarch64__) || defined(_M_ARM64)
    {"neon",
     why_no_neon,
     {&kNeonElement, &kNeonGroup, &kNeonFp8, &kNeonFt, &kNeonMd5, nullptr, &kNeonStatistics}},
#else
    {"neon", why_no_neon, {}},
#endif
    {"reference", always, {}},
  };
  return list;
}

struct Backends {
  KernelTable tables[kCount];
  Backend list[kCount];

  Backends() {
    for (size_t i = 0; i < kCount; ++i) {
      const Candidate& candidate = candidates()[i];
      tables[i] = assemble(candidate.name, candidate.parts);
      const char* reason = candidate.why_not();
      list[i] = {candidate.name, reason == nullptr ? &tables[i] : nullptr, reason};
    }
  }
};

const Backend* all_backends() {
  static const Backends backends;
  return backends.list;
}

}  // namespace

size_t list_backends(Backend* out, size_t capacity) {
  for (size_t i = 0; i < kCount && i < capacity; ++i) out[i] = all_backends()[i];
  return kCount;
}

const KernelTable& best_backend() {
  const Backend* backend = all_backends();
  while (backend->table == nullptr) ++backend;
  return *backend->table;
}

}  // namespace mlc
