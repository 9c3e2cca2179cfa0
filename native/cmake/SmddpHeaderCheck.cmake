# Target `check_headers`: compiles headers of ours alone, so that each includes what it uses. Left out is a header that
# the source beside it includes first: compiling that source is the same check.

file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/native"
     "${PROJECT_SOURCE_DIR}/native/include/*.h" "${PROJECT_SOURCE_DIR}/native/src/*.h")
if(NOT SMDDP_LIBFABRIC_INCLUDE_DIR)
  list(FILTER headers EXCLUDE REGEX "^src/transport/ofi/")
endif()
set(sources "")
foreach(header IN LISTS headers)
  string(REGEX REPLACE "^(include|src)/" "" spelled "${header}")
  string(REGEX REPLACE "[.]h$" ".cc" beside "${PROJECT_SOURCE_DIR}/native/${header}")
  if(EXISTS "${beside}")
    file(STRINGS "${beside}" first REGEX "^#include" LIMIT_COUNT 1)
    if(first STREQUAL "#include \"${spelled}\"")
      continue()
    endif()
  endif()
  set(source "${CMAKE_CURRENT_BINARY_DIR}/header_check/${header}.cc")
  file(CONFIGURE OUTPUT "${source}" CONTENT "#include \"${spelled}\"\n")
  list(APPEND sources "${source}")
endforeach()
if(sources)
  add_library(check_headers OBJECT EXCLUDE_FROM_ALL ${sources})
  target_link_libraries(check_headers PRIVATE smddp_options smddp_warnings)
  target_include_directories(
    check_headers PRIVATE "${PROJECT_SOURCE_DIR}/native/include" "${PROJECT_SOURCE_DIR}/native/src")
endif()
