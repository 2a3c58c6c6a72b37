// Shards as TypeScript sends them: src/execute/program.ts writes what is read here. Whoever changes
// what the numbers mean changes kProgramFormat, here and in src/native/addon.ts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "program.h"
#include "status.h"

namespace mlc {

constexpr uint32_t kProgramFormat = 2;

// Reads one shard's pieces from numbers and checks every range against the sources' sizes.
Status decode_shard(const double* words, size_t count, const std::vector<uint64_t>& source_sizes,
                    Shard* shard);

}  // namespace mlc
