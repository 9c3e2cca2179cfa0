# Target `check_headers`: compiles every header of ours alone, so each includes what it uses.

file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/native"
     "${PROJECT_SOURCE_DIR}/native/include/*.h" "${PROJECT_SOURCE_DIR}/native/src/*.h")
if(NOT SMDDP_LIBFABRIC_INCLUDE_DIR)
  list(FILTER headers EXCLUDE REGEX "^src/transport/ofi/")
endif()
set(sources "")
foreach(header IN LISTS headers)
  string(REGEX REPLACE "^(include|src)/" "" spelled "${header}")
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
