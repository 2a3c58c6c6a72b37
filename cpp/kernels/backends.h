// Which sub-tables exist, and who may see them: dispatch.cpp puts the backends together from these,
// and the files of a backend define one each. In a sub-table a null function means "the
// reference's".
//
// A file that is compiled for an instruction set includes nothing but <cstdint>, <cstddef>,
// <cstring>, its intrinsics, kernels.h, this header and headers of its own folder whose every
// function is static. It exports its one table. The linker may keep any copy of an inline function
// for the whole program: one that holds AVX-512 would crash machines that never asked for this
// backend.
#pragma once

#include "kernels.h"

namespace mlc {

extern const ElementKernels kReferenceElement;
extern const GroupKernels kReferenceGroup;
extern const Fp8Kernels kReferenceFp8;
extern const FtKernels kReferenceFt;
extern const Md5Kernels kReferenceMd5;
extern const StatisticsKernels kReferenceStatistics;

extern const ElementKernels kAvx2Element;
extern const GroupKernels kAvx2Group;
extern const Fp8Kernels kAvx2Fp8;
extern const FtKernels kAvx2Ft;
extern const Md5Kernels kAvx2Md5;
extern const StatisticsKernels kAvx2Statistics;

extern const ElementKernels kAvx512Element;
extern const GroupKernels kAvx512Group;
extern const Fp8Kernels kAvx512Fp8;
extern const FtKernels kAvx512Ft;
extern const Md5Kernels kAvx512Md5;
extern const StatisticsKernels kAvx512Statistics;

extern const ElementKernels kNeonElement;
extern const GroupKernels kNeonGroup;
extern const Fp8Kernels kNeonFp8;
extern const FtKernels kNeonFt;
extern const Md5Kernels kNeonMd5;
extern const StatisticsKernels kNeonStatistics;

}  // namespace mlc
