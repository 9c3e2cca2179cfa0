# Finds CUDA's compiler, on the system or in NVIDIA's wheels. SMDDP_NVCC is empty where there is none that works here;
# else SMDDP_NVCC_ARCHITECTURES is what it compiles for.

option(SMDDP_CUDA "Build the kernels for NVIDIA's GPUs where CUDA's compiler is found" ON)
set(SMDDP_CUDA_ARCHITECTURES "80;90;100" CACHE STRING "GPUs to compile for; the last one also for those after it")

# How kernels are compiled; the targets come on top.
set(SMDDP_NVCC_FLAGS -std=c++20 -O3 --fmad=false --threads 0 -Wno-deprecated-gpu-targets)

# smddp_check_nvcc(<path>): sets SMDDP_NVCC and SMDDP_NVCC_ARCHITECTURES if that compiler compiles, for the C++ compiler and
# CUDA's headers may be others than it expects.
function(smddp_check_nvcc path)
  execute_process(COMMAND "${path}" --list-gpu-arch OUTPUT_VARIABLE known ERROR_QUIET)
  string(REGEX MATCHALL "[0-9]+" known "${known}")
  set(architectures "")
  foreach(architecture IN LISTS SMDDP_CUDA_ARCHITECTURES)
    if(architecture IN_LIST known)
      list(APPEND architectures "${architecture}")
    endif()
  endforeach()
  if(NOT architectures)
    return()
  endif()
  list(GET architectures -1 last)
  set(probe "${CMAKE_CURRENT_BINARY_DIR}/nvcc_probe.cu")
  file(CONFIGURE OUTPUT "${probe}" CONTENT "#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <algorithm>
#include <type_traits>
__global__ void nothing(const __grid_constant__ int) {}
")
  execute_process(
    COMMAND "${path}" ${SMDDP_NVCC_FLAGS} -gencode "arch=compute_${last},code=sm_${last}" -fatbin "${probe}" -o
            "${probe}.fatbin"
    RESULT_VARIABLE failed OUTPUT_QUIET ERROR_VARIABLE problem)
  if(failed)
    message(STATUS "${path} does not work here: ${problem}")
    return()
  endif()
  set(SMDDP_NVCC "${path}" PARENT_SCOPE)
  set(SMDDP_NVCC_ARCHITECTURES "${architectures}" PARENT_SCOPE)
endfunction()

set(SMDDP_NVCC "")
if(SMDDP_CUDA)
  if(Python_EXECUTABLE)
    execute_process(
      COMMAND "${Python_EXECUTABLE}" -c "import sysconfig; print(sysconfig.get_path('purelib'))"
      OUTPUT_VARIABLE packages OUTPUT_STRIP_TRAILING_WHITESPACE)
  endif()
  find_program(
    SMDDP_NVCC_PATH nvcc
    HINTS ENV CUDA_HOME ENV CUDA_PATH "${packages}/nvidia/cu13" /usr/local/cuda
    PATH_SUFFIXES bin)
  foreach(candidate IN ITEMS "$ENV{CUDACXX}" "${SMDDP_NVCC_PATH}")
    if(EXISTS "${candidate}" AND NOT SMDDP_NVCC)
      smddp_check_nvcc("${candidate}")
    endif()
  endforeach()
endif()
if(SMDDP_NVCC)
  message(STATUS "Kernels for GPUs: by ${SMDDP_NVCC}, for ${SMDDP_NVCC_ARCHITECTURES}")
else()
  message(STATUS "Kernels for GPUs: left out, as CUDA's compiler (nvcc) was not found, does not work, or is not wanted")
endif()
