# Compiler options every target of ours links: `smddp_options` (how code is generated) and `smddp_warnings`.

find_package(Threads REQUIRED)

add_library(smddp_options INTERFACE)
target_compile_features(smddp_options INTERFACE cxx_std_20)
target_compile_definitions(smddp_options INTERFACE SMDDP_VERSION="${PROJECT_VERSION}")
# Without contraction a*b+c rounds twice on every machine and in every build type, so sums have the same bits.
target_compile_options(smddp_options INTERFACE -ffp-contract=off)
# glibc before 2.34 has dlopen in a library of its own.
target_link_libraries(smddp_options INTERFACE Threads::Threads ${CMAKE_DL_LIBS})

add_library(smddp_warnings INTERFACE)
target_compile_options(smddp_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor)
# Designated initialisers leave out what keeps its default; that is what they are for.
target_compile_options(smddp_warnings INTERFACE -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC bug 105651: "literal" + std::string at -O3.
  target_compile_options(smddp_warnings INTERFACE -Wno-restrict)
endif()

if(SMDDP_SANITIZE STREQUAL "address")
  set(sanitize_flags -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(SMDDP_SANITIZE STREQUAL "thread")
  set(sanitize_flags -fsanitize=thread -fno-omit-frame-pointer)
elseif(NOT SMDDP_SANITIZE STREQUAL "off")
  message(FATAL_ERROR "SMDDP_SANITIZE is '${SMDDP_SANITIZE}'; use off, address or thread")
endif()
if(sanitize_flags)
  target_compile_options(smddp_options INTERFACE ${sanitize_flags})
  target_link_options(smddp_options INTERFACE ${sanitize_flags})
endif()
