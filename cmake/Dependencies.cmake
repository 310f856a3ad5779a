# Third-party packages, all from Debian. Boost: 1.81 where the distribution has it (bookworm), a newer one elsewhere (trixie: 1.83).
find_package(OpenSSL 3.0 REQUIRED)
find_package(SQLite3 3.40 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(Protobuf REQUIRED)
find_package(Threads REQUIRED)
find_package(Boost 1.81 CONFIG REQUIRED)  # headers only
find_package(tomlplusplus REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)  # prometheus-cpp::core
find_package(PkgConfig REQUIRED)
pkg_check_modules(P11Kit REQUIRED IMPORTED_TARGET p11-kit-1)  # PKCS#11: headers, URIs, loading of modules
