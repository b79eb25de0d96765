# One target per folder: minimax_library(), with its tests, benchmarks and fuzz targets beside it.

# What `./check` builds under the sanitizers, and what it fuzzes.
add_custom_target(fast_tests)
add_custom_target(fuzz_targets)

# Linked to every test and to the program, so that they behave alike under the sanitizers however they are started.
add_library(sanitizer_options OBJECT ${PROJECT_SOURCE_DIR}/tests/sanitizer_options.cpp)

# minimax_library(NAME SOURCES a.cpp ... DEPS core io ... [LINK Threads::Threads ...])
# A static library mm_NAME from the current folder. DEPS are folders of src/, LINK other people's targets.
function(minimax_library NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LINK" ${ARGN})
  add_library(mm_${NAME} STATIC ${ARG_SOURCES})
  target_include_directories(mm_${NAME} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  list(TRANSFORM ARG_DEPS PREPEND mm_)
  target_link_libraries(mm_${NAME} PUBLIC ${ARG_DEPS} ${ARG_LINK})
endfunction()

# A ThreadSanitizer build, whose tests run ten times slower, takes only the tests in which several threads work: those
# marked THREADED.
set(MINIMAX_THREADED_ONLY OFF)
if(MINIMAX_SANITIZE MATCHES "thread")
  set(MINIMAX_THREADED_ONLY ON)
endif()

# What tests are compiled with besides. Their own code need not be fast, and its undefined behaviour is not what they
# look for; compiling them is half of a build, and these take a third of that away, and again a third under sanitizers.
set(MINIMAX_TEST_OPTIONS -O1)
if(MINIMAX_SANITIZE)
  set(MINIMAX_TEST_OPTIONS -O0)
endif()
if(MINIMAX_SANITIZE MATCHES "undefined")
  list(APPEND MINIMAX_TEST_OPTIONS -fno-sanitize=undefined)
endif()

# minimax_test(FOLDER NAME... [DEPS folders] [LINK targets] [LABEL slow] [THREADED])
# Each NAME.cpp becomes a program FOLDER_NAME and one ctest entry per TEST in it. Label: fast unless given.
function(minimax_test FOLDER)
  cmake_parse_arguments(ARG "THREADED" "LABEL" "DEPS;LINK" ${ARGN})
  if(NOT MINIMAX_TESTS OR (MINIMAX_THREADED_ONLY AND NOT ARG_THREADED))
    return()
  endif()
  if(NOT ARG_LABEL)
    set(ARG_LABEL fast)
  endif()
  list(TRANSFORM ARG_DEPS PREPEND mm_)
  foreach(NAME IN LISTS ARG_UNPARSED_ARGUMENTS)
    set(TARGET ${FOLDER}_${NAME})
    add_executable(${TARGET} ${NAME}.cpp)
    target_include_directories(${TARGET} PRIVATE ${PROJECT_SOURCE_DIR}/src)
    target_compile_definitions(${TARGET} PRIVATE MINIMAX_TESTDATA="${PROJECT_SOURCE_DIR}/testdata")
    target_compile_options(${TARGET} PRIVATE ${MINIMAX_TEST_OPTIONS})
    if(TARGET mm_${FOLDER})
      target_link_libraries(${TARGET} PRIVATE mm_${FOLDER})
    endif()
    target_link_libraries(${TARGET} PRIVATE ${ARG_DEPS} ${ARG_LINK} GTest::gtest_main GTest::gmock rapidcheck
                                            sanitizer_options)
    if(ARG_LABEL STREQUAL "fast")
      add_dependencies(fast_tests ${TARGET})
    endif()
    gtest_discover_tests(${TARGET} TEST_PREFIX "${FOLDER}." PROPERTIES LABELS ${ARG_LABEL} TIMEOUT 3600
                         DISCOVERY_TIMEOUT 1200)
  endforeach()
endfunction()

# minimax_bench(FOLDER NAME... [DEPS folders] [LINK targets]): programs, built when MINIMAX_BENCHMARKS is on.
function(minimax_bench FOLDER)
  if(NOT MINIMAX_BENCHMARKS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "DEPS;LINK" ${ARGN})
  list(TRANSFORM ARG_DEPS PREPEND mm_)
  foreach(NAME IN LISTS ARG_UNPARSED_ARGUMENTS)
    add_executable(${FOLDER}_${NAME} ${NAME}.cpp)
    target_compile_definitions(${FOLDER}_${NAME} PRIVATE MINIMAX_TESTDATA="${PROJECT_SOURCE_DIR}/testdata")
    target_link_libraries(${FOLDER}_${NAME} PRIVATE mm_${FOLDER} ${ARG_DEPS} ${ARG_LINK})
  endforeach()
endfunction()

# minimax_fuzz(FOLDER NAME... [DEPS folders]): libFuzzer programs with LLVMFuzzerTestOneInput. Without MINIMAX_FUZZ each
# is built with a small main that replays the files it is given, so that CI runs the corpus through every parser.
function(minimax_fuzz FOLDER)
  if((NOT MINIMAX_TESTS AND NOT MINIMAX_FUZZ) OR MINIMAX_THREADED_ONLY)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "DEPS;LINK" ${ARGN})
  list(TRANSFORM ARG_DEPS PREPEND mm_)
  foreach(NAME IN LISTS ARG_UNPARSED_ARGUMENTS)
    set(TARGET ${FOLDER}_${NAME})
    add_executable(${TARGET} ${NAME}.cpp)
    target_link_libraries(${TARGET} PRIVATE mm_${FOLDER} ${ARG_DEPS} ${ARG_LINK} sanitizer_options)
    if(MINIMAX_FUZZ)
      target_compile_options(${TARGET} PRIVATE -fsanitize=fuzzer)
      target_link_options(${TARGET} PRIVATE -fsanitize=fuzzer)
    else()
      target_sources(${TARGET} PRIVATE ${PROJECT_SOURCE_DIR}/tests/replay_corpus_main.cpp)
    endif()
    set(CORPUS ${PROJECT_SOURCE_DIR}/testdata/fuzz/${NAME})
    add_dependencies(fast_tests ${TARGET})
    add_dependencies(fuzz_targets ${TARGET})
    set_property(GLOBAL APPEND_STRING PROPERTY MINIMAX_FUZZ_TARGETS "$<TARGET_FILE:${TARGET}> ${CORPUS}\n")
    if(MINIMAX_TESTS AND EXISTS ${CORPUS})
      add_test(NAME ${FOLDER}.${NAME}.corpus COMMAND ${TARGET} -runs=0 ${CORPUS})
      set_tests_properties(${FOLDER}.${NAME}.corpus PROPERTIES LABELS fast)
    endif()
  endforeach()
endfunction()

# minimax_played_gpu(TARGET): a test of what runs on GPUs, on the module that plays one on the processor.
function(minimax_played_gpu TARGET)
  if(NOT TARGET ${TARGET})
    return()
  endif()
  add_dependencies(${TARGET} cuda_played)
  target_compile_definitions(${TARGET} PRIVATE MINIMAX_CUDA_MODULE="$<TARGET_FILE:cuda_played>")
endfunction()
