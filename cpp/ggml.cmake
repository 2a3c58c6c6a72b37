# The GGUF block kernels and `ggml-check`, the program that tests drive them with.
set(GGML_KERNEL_SOURCES
  ${CMAKE_CURRENT_LIST_DIR}/kernels/reference/ggml.cpp
  ${CMAKE_CURRENT_LIST_DIR}/kernels/reference/ggml-dequantize.cpp
  ${CMAKE_CURRENT_LIST_DIR}/kernels/reference/ggml-quantize-32.cpp
  ${CMAKE_CURRENT_LIST_DIR}/kernels/reference/ggml-quantize-iq4.cpp
  ${CMAKE_CURRENT_LIST_DIR}/kernels/reference/ggml-quantize-k.cpp)

add_executable(ggml-check ${CMAKE_CURRENT_LIST_DIR}/check/ggml-check.cpp ${GGML_KERNEL_SOURCES})
target_compile_features(ggml-check PRIVATE cxx_std_17)
target_compile_options(ggml-check PRIVATE -Wall -Wextra -Wconversion -ffp-contract=off -fvisibility=hidden)
