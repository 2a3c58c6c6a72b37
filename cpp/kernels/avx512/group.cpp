#include "../backends.h"

namespace mlc {

const GroupKernels kAvx512Group = {};

}  // namespace mlc
