#include "../backends.h"

namespace mlc {

const GroupKernels kAvx2Group = {};

}  // namespace mlc
