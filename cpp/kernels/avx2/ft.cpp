#include "../backends.h"

namespace mlc {

const FtKernels kAvx2Ft = {};

}  // namespace mlc
