# Tests live beside the code they test, as <subject>_test.cc. Configuring fails when one of them is in no target.
enable_testing()
find_package(GTest REQUIRED)
include(GoogleTest)
set_property(GLOBAL PROPERTY QKMS_TEST_SOURCES "")

# qkms_test(<name> SOURCES a_test.cc ... LINKS ...): one GoogleTest program.
function(qkms_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE qkms_flags ${ARG_LINKS} GTest::gtest_main GTest::gmock)
  gtest_discover_tests(${name} NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
  foreach(source IN LISTS ARG_SOURCES)
    get_filename_component(path "${source}" ABSOLUTE)
    set_property(GLOBAL APPEND PROPERTY QKMS_TEST_SOURCES "${path}")
  endforeach()
endfunction()

function(qkms_require_all_tests_registered)
  get_property(registered GLOBAL PROPERTY QKMS_TEST_SOURCES)
  file(GLOB_RECURSE present CONFIGURE_DEPENDS RELATIVE "${CMAKE_SOURCE_DIR}"
    base/*_test.cc api/*_test.cc kms/*_test.cc storage/*_test.cc drivers/*_test.cc certs/*_test.cc server/*_test.cc cli/*_test.cc
    sim/*_test.cc bench/*_test.cc tests/*_test.cc)
  foreach(source IN LISTS present)
    if(NOT "${CMAKE_SOURCE_DIR}/${source}" IN_LIST registered)
      message(FATAL_ERROR "${source} is in no test target: add it to a qkms_test() call")
    endif()
  endforeach()
endfunction()
