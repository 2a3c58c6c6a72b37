# The GPU backend: mlc_convert_cuda, a shared library that carries its own CUDA runtime and is opened
# only when asked for, and mlc_convert_cuda_emulated, the same sources on an emulated GPU, for tests.
#
# Neither is part of a plain build: name the target. nvcc is looked for in build/cuda-toolchain, where
# scripts/fetch-cuda.mjs puts it, and on the PATH.

include_guard()
find_package(Threads REQUIRED)

set(MLC_CUDA_DIR ${MLC_CPP_DIR}/cuda)
mlc_files(MLC_CUDA_FILES cuda)

# ---- on an emulated GPU ----
set_source_files_properties(${MLC_CUDA_FILES} PROPERTIES LANGUAGE CXX)
add_library(mlc_convert_cuda_emulated SHARED EXCLUDE_FROM_ALL ${MLC_CUDA_FILES})
set_target_properties(mlc_convert_cuda_emulated PROPERTIES PREFIX lib SUFFIX .so)
target_include_directories(mlc_convert_cuda_emulated BEFORE PRIVATE ${MLC_CUDA_DIR}/emulator)
target_link_libraries(mlc_convert_cuda_emulated PRIVATE Threads::Threads)
mlc_compile_options(mlc_convert_cuda_emulated)
target_compile_definitions(mlc_convert_cuda_emulated PRIVATE MLC_CUDA_TILE_BYTES=512)
if(NOT MSVC)
  target_compile_options(mlc_convert_cuda_emulated PRIVATE -x c++)
endif()

# ---- on GPUs ----
find_program(MLC_NVCC nvcc HINTS ${CMAKE_SOURCE_DIR}/build/cuda-toolchain/nvidia/cu13/bin)
if(NOT MLC_NVCC)
  message(STATUS "mlc_convert_cuda: not built, there is no nvcc (node scripts/fetch-cuda.mjs fetches it)")
  return()
endif()

# Code for each of these, and PTX of the last for what comes after. CUDA 13 no longer compiles for
# GPUs before Turing (7.5).
set(MLC_CUDA_ARCHITECTURES 75 80 86 89 90 100 110 120 CACHE STRING "GPU architectures to compile for")
set(cuda_flags --std=c++17 -O3 --fmad=false --prec-div=true --ftz=false --cudart=static
    -Xcompiler=-fPIC,-fvisibility=hidden,-fno-exceptions,-fno-rtti,-ffp-contract=off,-Wall,-Wextra,-Werror)
foreach(architecture ${MLC_CUDA_ARCHITECTURES})
  list(APPEND cuda_flags -gencode=arch=compute_${architecture},code=sm_${architecture})
endforeach()
list(GET MLC_CUDA_ARCHITECTURES -1 newest)
list(APPEND cuda_flags -gencode=arch=compute_${newest},code=compute_${newest})

get_filename_component(cuda_root ${MLC_NVCC} DIRECTORY)
set(cuda_library ${CMAKE_BINARY_DIR}/libmlc_convert_cuda.so)
set(cuda_objects "")
file(GLOB cuda_headers ${MLC_CUDA_DIR}/*.h)
foreach(file ${MLC_CUDA_FILES})
  get_filename_component(name ${file} NAME_WE)
  set(object ${CMAKE_BINARY_DIR}/cuda/${name}.o)
  add_custom_command(OUTPUT ${object}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/cuda
    COMMAND ${MLC_NVCC} ${cuda_flags} -c ${file} -o ${object}
    DEPENDS ${file} ${cuda_headers} ${MLC_CPP_DIR}/kernels/kernels.h
    COMMENT "nvcc ${name}.cu" VERBATIM)
  list(APPEND cuda_objects ${object})
endforeach()
# The runtime's own symbols stay inside: the process may hold another CUDA runtime.
add_custom_command(OUTPUT ${cuda_library}
  COMMAND ${MLC_NVCC} --shared --cudart=static -L${cuda_root}/../lib ${cuda_objects} -o ${cuda_library}
          -Xlinker --exclude-libs=ALL -Xlinker --strip-all
  DEPENDS ${cuda_objects} COMMENT "Linking libmlc_convert_cuda.so" VERBATIM)
add_custom_target(mlc_convert_cuda DEPENDS ${cuda_library})
