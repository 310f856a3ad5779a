# Flags that every target of ours shares. Asserts stay on in release builds (house style), so NDEBUG is never set.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(QKMS_SANITIZE "" CACHE STRING "value for -fsanitize=, for example address,undefined")
option(QKMS_FUZZERS "build the libFuzzer targets (clang only)" OFF)
option(QKMS_COVERAGE "instrument for gcov" OFF)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -D_FORTIFY_SOURCE=2 -fstack-protector-strong")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE}")
endif()

# One INTERFACE target carries the warnings, so that they reach our code and not generated code.
add_library(qkms_flags INTERFACE)
target_compile_options(qkms_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual
  -Wimplicit-fallthrough -Werror)
# g++ 13 and 14 take the alternatives that a moved std::variant does not hold for uninitialised reads; g++ 12 and clang still look for real ones.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
  target_compile_options(qkms_flags INTERFACE -Wno-maybe-uninitialized)
endif()
target_include_directories(qkms_flags INTERFACE "${CMAKE_SOURCE_DIR}")
if(QKMS_SANITIZE)
  add_compile_options("-fsanitize=${QKMS_SANITIZE}" -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options("-fsanitize=${QKMS_SANITIZE}")
  if(QKMS_SANITIZE STREQUAL "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan)  # Asio has fences, which TSan does not follow; nothing of ours rests on them
  endif()
endif()
if(QKMS_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
add_link_options(-Wl,-z,relro,-z,now)

# qkms_library(<folder> SOURCES ... LINKS ...): the library of one folder of the house.
function(qkms_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_library(qkms_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(qkms_${name} PUBLIC qkms_flags ${ARG_LINKS})
endfunction()
