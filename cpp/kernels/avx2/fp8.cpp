#include "../backends.h"

namespace mlc {

const Fp8Kernels kAvx2Fp8 = {};

}  // namespace mlc
