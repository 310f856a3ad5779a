# The configuration file: its options, reader and checks. A target of its own, so that tools read configurations without the daemon.
add_library(qkms_config STATIC
  ${CMAKE_CURRENT_LIST_DIR}/config.cc
  ${CMAKE_CURRENT_LIST_DIR}/config_check.cc
  ${CMAKE_CURRENT_LIST_DIR}/config_reference.cc
  ${CMAKE_CURRENT_LIST_DIR}/config_table.cc
  ${CMAKE_CURRENT_LIST_DIR}/driver_options.cc
  ${CMAKE_CURRENT_LIST_DIR}/extensions.cc
  ${CMAKE_CURRENT_LIST_DIR}/options.cc
  ${CMAKE_CURRENT_LIST_DIR}/setting_options.cc)
# toml++ as Debian's shared library, not as headers: compiled into our code with asserts on, version 3.3 aborts at "[" before a newline.
target_link_libraries(qkms_config PUBLIC qkms_flags qkms_base qkms_link_models PRIVATE qkms_api fmt::fmt tomlplusplus::tomlplusplus)

qkms_test(config_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/config_links_test.cc ${CMAKE_CURRENT_LIST_DIR}/config_test.cc ${CMAKE_CURRENT_LIST_DIR}/driver_options_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/extensions_test.cc
  LINKS qkms_config qkms_api fmt::fmt)
target_compile_definitions(config_test PRIVATE QKMS_SOURCE_DIR="${CMAKE_SOURCE_DIR}")

# What needs the disk, the certificates and the master key stands apart, so that reading a configuration needs none of them.
add_library(qkms_config_files STATIC ${CMAKE_CURRENT_LIST_DIR}/config_files.cc)
target_link_libraries(qkms_config_files PUBLIC qkms_config PRIVATE qkms_certs qkms_storage fmt::fmt)

qkms_test(config_files_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/config_files_test.cc LINKS qkms_config_files qkms_certs qkms_storage)
