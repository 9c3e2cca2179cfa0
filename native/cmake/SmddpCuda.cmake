# Finds CUDA's compiler, on the system or in NVIDIA's wheels. SMDDP_NVCC is empty where there is none that works here;
# else SMDDP_NVCC_ARCHITECTURES is what it compiles for.

option(SMDDP_CUDA "Build the kernels for NVIDIA's GPUs (_cuda) where CUDA's compiler is found" ON)
set(SMDDP_CUDA_ARCHITECTURES "80;90;100" CACHE STRING "GPUs to compile for; the last one also for those after it")

# smddp_check_nvcc(<path>): sets SMDDP_NVCC and SMDDP_NVCC_ARCHITECTURES if that compiler compiles.
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
  # It may not get on with the C++ compiler.
  set(probe "${CMAKE_CURRENT_BINARY_DIR}/nvcc_probe.cu")
  file(CONFIGURE OUTPUT "${probe}" CONTENT "#include <type_traits>\n__global__ void nothing() {}\n")
  execute_process(
    COMMAND "${path}" -std=c++20 -fatbin "${probe}" -o "${probe}.fatbin"
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
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c "import sysconfig; print(sysconfig.get_path('purelib'))"
    OUTPUT_VARIABLE packages OUTPUT_STRIP_TRAILING_WHITESPACE)
  find_program(
    SMDDP_NVCC_PATH nvcc
    HINTS ENV CUDACXX ENV CUDA_HOME ENV CUDA_PATH "${packages}/nvidia/cu13" /usr/local/cuda
    PATH_SUFFIXES bin)
  if(SMDDP_NVCC_PATH)
    smddp_check_nvcc("${SMDDP_NVCC_PATH}")
  endif()
endif()
if(SMDDP_NVCC)
  message(STATUS "Kernels for GPUs: by ${SMDDP_NVCC}, for ${SMDDP_NVCC_ARCHITECTURES}")
else()
  message(STATUS "Kernels for GPUs: left out, as CUDA's compiler (nvcc) was not found, does not work, or is not wanted")
endif()
