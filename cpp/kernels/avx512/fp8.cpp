#include "../backends.h"

namespace mlc {

const Fp8Kernels kAvx512Fp8 = {};

}  // namespace mlc
