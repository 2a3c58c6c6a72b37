# The kernels as one static library, from cpp/sources.json: mlc_kernels.

include_guard()

# Where the native code lies, and its list of files.
set(MLC_CPP_DIR ${CMAKE_CURRENT_LIST_DIR})
file(READ ${MLC_CPP_DIR}/sources.json MLC_SOURCES)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${MLC_CPP_DIR}/sources.json)

# mlc_list(<variable> <key>...): the strings of one array of sources.json.
function(mlc_list out)
  string(JSON length LENGTH "${MLC_SOURCES}" ${ARGN})
  set(items "")
  if(length GREATER 0)
    math(EXPR last "${length} - 1")
    foreach(i RANGE ${last})
      string(JSON item GET "${MLC_SOURCES}" ${ARGN} ${i})
      list(APPEND items "${item}")
    endforeach()
  endif()
  set(${out} "${items}" PARENT_SCOPE)
endfunction()

# mlc_files(<variable> <key>...): the same, as absolute paths.
function(mlc_files out)
  mlc_list(names ${ARGN})
  list(TRANSFORM names PREPEND ${MLC_CPP_DIR}/)
  set(${out} "${names}" PARENT_SCOPE)
endfunction()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  set(MLC_ARCH x64)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  set(MLC_ARCH arm64)
else()
  set(MLC_ARCH other)
endif()

# Warnings are errors for our own code; arithmetic is never fused or reordered.
set(MLC_SANITIZE "" CACHE STRING "Sanitizers for the native code, for example address,undefined")
function(mlc_compile_options target)
  if(MSVC)
    target_compile_options(${target} PRIVATE /W4 /WX /fp:precise /permissive- /EHs-c- /GR-)
    target_compile_definitions(${target} PRIVATE _HAS_EXCEPTIONS=0)
  else()
    target_compile_options(${target} PRIVATE -Wall -Wextra -Werror -ffp-contract=off
                                             -fno-exceptions -fno-rtti -fvisibility=hidden)
    if(MLC_SANITIZE)
      # AddressSanitizer finds null pointers and ends of objects itself; looked for twice, they double the build.
      target_compile_options(${target} PRIVATE -fsanitize=${MLC_SANITIZE} -fno-sanitize=null,object-size
                                               -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
      target_link_options(${target} PUBLIC -fsanitize=${MLC_SANITIZE})
    endif()
  endif()
  # Link-time optimisation would mix code of different instruction sets.
  set_target_properties(${target} PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON
    CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON INTERPROCEDURAL_OPTIMIZATION OFF)
endfunction()

mlc_files(kernel_files kernels)
add_library(mlc_kernels STATIC ${kernel_files})
target_include_directories(mlc_kernels PUBLIC ${MLC_CPP_DIR}/kernels)
target_link_libraries(mlc_kernels PUBLIC ${CMAKE_DL_LIBS})
mlc_compile_options(mlc_kernels)

# One object library an instruction set, each with its own flags.
foreach(isa reference avx2 avx512 neon)
  string(JSON isa_arch GET "${MLC_SOURCES}" isa ${isa} arch)
  mlc_files(isa_files isa ${isa} files)
  if(isa_files AND (isa_arch STREQUAL "any" OR isa_arch STREQUAL MLC_ARCH))
    add_library(mlc_${isa} OBJECT ${isa_files})
    mlc_compile_options(mlc_${isa})
    if(NOT MSVC)
      mlc_list(isa_flags isa ${isa} flags)
      if(MLC_SANITIZE)
        # Every vector that a function returns would be guarded: five times the time, and nothing points to them.
        list(APPEND isa_flags -O2 -fno-sanitize-address-use-after-scope)
      else()
        list(APPEND isa_flags -O3)
      endif()
      target_compile_options(mlc_${isa} PRIVATE ${isa_flags})
      # GCC before 13 takes the "any value" operands inside its AVX-512 header for mistakes (GCC PR 105593).
      if(isa STREQUAL "avx512" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        target_compile_options(mlc_${isa} PRIVATE -Wno-maybe-uninitialized -Wno-uninitialized)
      endif()
    elseif(isa STREQUAL "avx2")
      target_compile_options(mlc_${isa} PRIVATE /O2 /arch:AVX2)
    elseif(isa STREQUAL "avx512")
      target_compile_options(mlc_${isa} PRIVATE /O2 /arch:AVX512)
    endif()
    target_sources(mlc_kernels PRIVATE $<TARGET_OBJECTS:mlc_${isa}>)
  endif()
endforeach()
