# Compiler cache, linker, warnings and sanitizers: what every target shares.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()

# The default linker, not mold: GCC leaves empty cold parts behind functions that end in unreachable code, and mold 1.10
# sorts their unwind entries by address alone. Where the empty one came last the unwinder found it instead of the
# function's own, and a caught exception ended the process (in the JSON parser, by io.fuzz_json.corpus).

# nvcc takes the host compiler's flags only by -Xcompiler; a sanitizer build has no CUDA.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wall> $<$<COMPILE_LANGUAGE:CXX>:-Wextra>
                    $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>)
# Designated initialisers that leave members at their defaults are how our plain structs are made.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-missing-field-initializers>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)  # GCC bug 105651: false alarm on "text" + std::string
endif()

set(MINIMAX_SANITIZE "" CACHE STRING "sanitizers for every target, for example address,undefined or thread")
if(MINIMAX_SANITIZE)
  add_compile_options(-fsanitize=${MINIMAX_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${MINIMAX_SANITIZE})
  if(MINIMAX_SANITIZE MATCHES "undefined")
    # A null pointer ends the program without being looked for, and x86 reads from any address: looking for both at every
    # access is more than half of the time a file takes to compile. Folders that read strangers' bytes (CMakeLists.txt)
    # are looked at for alignment too.
    add_compile_options(-fno-sanitize-recover=undefined -fno-sanitize=null,vptr,alignment)
    set(MINIMAX_BYTE_CHECKS -fsanitize=alignment)
  endif()
endif()

# The fuzz targets steer by the coverage of what they call, so the libraries are instrumented too.
if(MINIMAX_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "MINIMAX_FUZZ needs clang: its libFuzzer drives the targets (preset fuzz)")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
