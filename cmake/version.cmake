# mm_version: core/version.h, with the commit taken at build time. Only git's record of HEAD is watched, so a build with
# nothing to do starts no process for it, and a new commit compiles one file.
#
# Included by the build it defines the target; run with -P it writes the source.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  find_package(Git QUIET)
  set(VERSION_CPP ${PROJECT_BINARY_DIR}/version.cpp)
  add_custom_command(
    OUTPUT ${VERSION_CPP}
    DEPENDS ${PROJECT_SOURCE_DIR}/cmake/version.cpp.in ${PROJECT_SOURCE_DIR}/cmake/version.cmake
    # A depfile, because a file named there may be missing; one named in DEPENDS may not.
    DEPFILE ${VERSION_CPP}.d
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DOUTPUT=${VERSION_CPP} -DMINIMAX_VERSION=${PROJECT_VERSION}
            -DGIT=$<$<BOOL:${GIT_FOUND}>:${GIT_EXECUTABLE}> -P ${PROJECT_SOURCE_DIR}/cmake/version.cmake
    COMMENT "Writing version.cpp"
    VERBATIM)
  add_library(mm_version STATIC ${VERSION_CPP})
  target_include_directories(mm_version PUBLIC ${PROJECT_SOURCE_DIR}/src)
  return()
endif()

set(MINIMAX_COMMIT unknown)
# Never empty: ninja takes an empty depfile for a missing one and would run this at every build.
set(WATCHED " ${SOURCE}/cmake/version.cpp.in")
if(GIT)
  # The checkout may belong to somebody else than the one who builds.
  set(GIT ${GIT} -c safe.directory=* -C ${SOURCE})
  execute_process(COMMAND ${GIT} rev-parse --short=12 HEAD OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE
                  ERROR_QUIET RESULT_VARIABLE FAILED)
  execute_process(COMMAND ${GIT} rev-parse --show-cdup OUTPUT_VARIABLE UP OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  # An unpacked archive inside somebody else's repository is not that repository's commit.
  if(NOT FAILED AND UP STREQUAL "")
    set(MINIMAX_COMMIT ${COMMIT})
    # HEAD names the branch; its log grows with each commit on it.
    foreach(FILE HEAD logs/HEAD)
      execute_process(COMMAND ${GIT} rev-parse --git-path ${FILE} WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE FILE
                      OUTPUT_STRIP_TRAILING_WHITESPACE)
      get_filename_component(FILE "${FILE}" ABSOLUTE BASE_DIR ${SOURCE})
      if(EXISTS ${FILE})
        string(APPEND WATCHED " ${FILE}")
      endif()
    endforeach()
  endif()
endif()
configure_file(${SOURCE}/cmake/version.cpp.in ${OUTPUT} @ONLY)
file(TOUCH ${OUTPUT})
file(WRITE ${OUTPUT}.d "${OUTPUT}:${WATCHED}\n")
