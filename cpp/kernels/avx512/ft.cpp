#include "../backends.h"

namespace mlc {

const FtKernels kAvx512Ft = {};

}  // namespace mlc
