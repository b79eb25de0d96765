# Third-party libraries, all from Debian 12 (docs/decisions/0001-libraries.md says why these).
find_package(Threads REQUIRED)
find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS headers json)
find_package(CLI11 REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)  # TLS of the server
find_package(ZLIB REQUIRED)  # tokenizer files may be gzipped
find_package(PkgConfig REQUIRED)
pkg_check_modules(edit REQUIRED IMPORTED_TARGET libedit)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)  # patterns of a tokenizer.json that are its own
pkg_check_modules(toml REQUIRED IMPORTED_TARGET tomlplusplus>=3.3)  # by pkg-config: its flags say "shared library"

if(MINIMAX_TESTS)
  find_package(GTest 1.12 REQUIRED)
  find_package(rapidcheck REQUIRED)
  find_package(ZLIB REQUIRED)  # testdata holds the published index compressed
  enable_testing()
  include(GoogleTest)
endif()
