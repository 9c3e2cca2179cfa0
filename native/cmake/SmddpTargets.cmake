# How layers, the shared library's parts and C++ tests are declared.

# smddp_add_layer(<name> [SOURCES file...] [USES layer...])
#
# Declares the static library `smddp_<name>`. USES names the layers it may include and link: the arrows of
# docs/architecture.md and no others. The objects also go into libsmddp.so. A layer of headers alone has no SOURCES.
function(smddp_add_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 LAYER "" "" "SOURCES;USES")
  set(target smddp_${name})
  set(used ${LAYER_USES})
  list(TRANSFORM used PREPEND smddp_)
  if(LAYER_SOURCES)
    add_library(${target} STATIC ${LAYER_SOURCES})
    target_link_libraries(${target} PUBLIC smddp_options ${used} PRIVATE smddp_warnings)
    # PUBLIC headers are the border in native/include; native/src is for the layers and their tests alone.
    target_include_directories(
      ${target} PUBLIC "${PROJECT_SOURCE_DIR}/native/include" PRIVATE "${PROJECT_SOURCE_DIR}/native/src")
    set_property(GLOBAL APPEND PROPERTY SMDDP_LAYER_OBJECTS $<TARGET_OBJECTS:${target}>)
  else()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE smddp_options ${used})
    target_include_directories(${target} INTERFACE "${PROJECT_SOURCE_DIR}/native/include")
  endif()
endfunction()

# smddp_add_test(<area> SOURCES file... USES layer... [TIMEOUT seconds] [THREADED])
#
# Declares the doctest executable `test_<area>` and registers it with ctest. It links the layers themselves,
# not libsmddp.so, because tests look behind the border. Sanitizers get five times the TIMEOUT. THREADED: threads meet
# there, so that the thread sanitizer is for it, and it takes seconds; target `threaded_tests` and a label hold these.
function(smddp_add_test area)
  cmake_parse_arguments(PARSE_ARGV 1 TEST "THREADED" "TIMEOUT" "SOURCES;USES")
  if(NOT TEST_SOURCES)
    return()
  endif()
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 60)
  endif()
  if(NOT SMDDP_SANITIZE STREQUAL "off")
    math(EXPR TEST_TIMEOUT "5 * ${TEST_TIMEOUT}")
  endif()
  set(target test_${area})
  set(used ${TEST_USES})
  list(TRANSFORM used PREPEND smddp_)
  add_executable(${target} ${TEST_SOURCES})
  target_link_libraries(${target} PRIVATE smddp_test_main ${used} smddp_warnings)
  target_include_directories(
    ${target} PRIVATE "${PROJECT_SOURCE_DIR}/native/src" "${PROJECT_SOURCE_DIR}/native/tests")
  add_dependencies(cpp_tests ${target})
  add_test(NAME ${area} COMMAND ${target})
  set_tests_properties(${area} PROPERTIES TIMEOUT ${TEST_TIMEOUT})
  if(TEST_THREADED)
    add_dependencies(threaded_tests ${target})
    set_tests_properties(${area} PROPERTIES LABELS threaded)
  endif()
endfunction()
