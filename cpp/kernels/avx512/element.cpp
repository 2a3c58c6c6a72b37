#include "../backends.h"

namespace mlc {

const ElementKernels kAvx512Element = {};

}  // namespace mlc
