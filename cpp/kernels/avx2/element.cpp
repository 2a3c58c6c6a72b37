#include "../backends.h"

namespace mlc {

const ElementKernels kAvx2Element = {};

}  // namespace mlc
