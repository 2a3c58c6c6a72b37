// What this processor and this operating system let us run.
#pragma once

namespace mlc {

// Null when code of that instruction set may run here, else one sentence why not.
// Both are asked: the processor for the instructions, the system for saving the wide registers.
const char* why_no_avx2();
const char* why_no_avx512();
const char* why_no_neon();

}  // namespace mlc
