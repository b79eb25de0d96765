# mm_web_page: the web chat as an object of the program. The bundle is web/dist/ as committed; where its sources have
# changed since and npm is there, a new one is made in the build tree (`npm run build` in web/ makes the one to commit).
#
# Included by the build it defines the target; run with -P it writes the source.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  option(MINIMAX_WEB_BUILD "bundle the web chat anew when its sources are newer than web/dist (needs npm)" ON)
  set(WEB ${PROJECT_SOURCE_DIR}/web)
  # find_program looks at PATH first, which is where a newer node than the distribution's would be.
  find_program(NPM npm)
  file(GLOB_RECURSE WEB_INPUTS CONFIGURE_DEPENDS ${WEB}/src/* ${WEB}/dist/*)
  set(WEB_CPP ${PROJECT_BINARY_DIR}/web/web_files.cpp)
  add_custom_command(
    OUTPUT ${WEB_CPP}
    DEPENDS ${WEB_INPUTS} ${WEB}/build.mjs ${WEB}/package.json ${WEB}/package-lock.json
            ${PROJECT_SOURCE_DIR}/cmake/web_page.cmake
    COMMAND ${CMAKE_COMMAND} -DWEB=${WEB} -DOUTPUT=${PROJECT_BINARY_DIR}/web
            -DNPM=$<$<AND:$<BOOL:${NPM}>,$<BOOL:${MINIMAX_WEB_BUILD}>>:${NPM}>
            -P ${PROJECT_SOURCE_DIR}/cmake/web_page.cmake
    COMMENT "Packing the web chat"
    VERBATIM)
  add_library(mm_web_page STATIC ${PROJECT_SOURCE_DIR}/src/server/web_page.cpp ${WEB_CPP})
  target_include_directories(mm_web_page PUBLIC ${PROJECT_SOURCE_DIR}/src)
  return()
endif()

cmake_policy(SET CMP0057 NEW)  # if(... IN_LIST ...)
file(MAKE_DIRECTORY ${OUTPUT})

# The same sum that build.mjs writes into the bundle: of "SHA256  NAME" for each source, sorted by name.
file(GLOB_RECURSE SOURCES RELATIVE ${WEB} ${WEB}/src/*)
list(APPEND SOURCES build.mjs package-lock.json package.json tsconfig.json)
list(SORT SOURCES)
set(LINES "")
foreach(FILE IN LISTS SOURCES)
  file(SHA256 ${WEB}/${FILE} SUM)
  string(APPEND LINES "${SUM}  ${FILE}\n")
endforeach()
string(SHA256 SOURCES_SUM "${LINES}")

# bundle_is_current(FOLDER RESULT): whether FOLDER holds the bundle of these sources.
function(bundle_is_current FOLDER RESULT)
  set(BUNDLE_SUM "")
  if(EXISTS ${FOLDER}/sources.sha256)
    file(STRINGS ${FOLDER}/sources.sha256 BUNDLE_SUM LIMIT_COUNT 1)
  endif()
  if(BUNDLE_SUM STREQUAL SOURCES_SUM)
    set(${RESULT} TRUE PARENT_SCOPE)
  else()
    set(${RESULT} FALSE PARENT_SCOPE)
  endif()
endfunction()

set(DIST ${WEB}/dist)
bundle_is_current(${DIST} CURRENT)
if(NOT CURRENT AND NPM)
  bundle_is_current(${OUTPUT}/tree/dist BUILT)
  if(NOT BUILT)
    file(REMOVE_RECURSE ${OUTPUT}/tree/src)
    file(COPY ${WEB}/src ${WEB}/build.mjs ${WEB}/package.json ${WEB}/package-lock.json ${WEB}/tsconfig.json
         DESTINATION ${OUTPUT}/tree)
    foreach(STEP "ci --ignore-scripts --no-audit --no-fund" "run build")
      separate_arguments(STEP)
      execute_process(COMMAND ${NPM} ${STEP} WORKING_DIRECTORY ${OUTPUT}/tree RESULT_VARIABLE FAILED
                      OUTPUT_VARIABLE SAID ERROR_VARIABLE SAID TIMEOUT 600)
      if(FAILED)
        string(STRIP "${SAID}" SAID)
        message(WARNING "the web chat is the committed one, older than its sources: npm ${STEP} failed:\n${SAID}")
        break()
      endif()
    endforeach()
    bundle_is_current(${OUTPUT}/tree/dist BUILT)
  endif()
  if(BUILT)
    set(DIST ${OUTPUT}/tree/dist)
  endif()
elseif(NOT CURRENT)
  message(STATUS "the web chat is the committed one, older than its sources: npm is not there to bundle it anew")
endif()

set(TYPE_html "text/html; charset=utf-8")
set(TYPE_js "text/javascript; charset=utf-8")
set(TYPE_css "text/css; charset=utf-8")
set(TYPE_txt "text/plain; charset=utf-8")
set(TYPE_svg "image/svg+xml")
set(TYPE_woff2 "font/woff2")
find_program(GZIP gzip)
file(REMOVE_RECURSE ${OUTPUT}/gzip)
file(MAKE_DIRECTORY ${OUTPUT}/gzip)

file(GLOB_RECURSE FILES RELATIVE ${DIST} ${DIST}/*)
list(REMOVE_ITEM FILES sources.sha256)
list(SORT FILES)
set(BLOBS "")
set(NAMES "")
set(TABLE "")
set(NUMBER 0)
foreach(FILE IN LISTS FILES)
  string(REGEX MATCH "[a-z0-9]+$" KIND ${FILE})
  if(NOT DEFINED TYPE_${KIND})
    message(FATAL_ERROR "web/dist/${FILE}: a file of kind \"${KIND}\", whose content type web_page.cmake does not know")
  endif()
  set(KEEP "no-cache")
  if(FILE MATCHES "-[0-9A-Z]+\\.[a-z0-9]+$")
    set(KEEP "public, max-age=31536000, immutable")
  endif()
  file(SHA256 ${DIST}/${FILE} SUM)
  string(SUBSTRING ${SUM} 0 16 SUM)
  file(SIZE ${DIST}/${FILE} BYTES)
  set(GZIP_BYTES 0)
  if(GZIP AND NOT KIND STREQUAL "woff2")
    execute_process(COMMAND ${GZIP} -9nc ${DIST}/${FILE} OUTPUT_FILE ${OUTPUT}/gzip/${NUMBER} COMMAND_ERROR_IS_FATAL ANY)
    file(SIZE ${OUTPUT}/gzip/${NUMBER} GZIP_BYTES)
  endif()
  string(APPEND BLOBS "web_file_${NUMBER}: .incbin \"${DIST}/${FILE}\"\n")
  set(GZIP_VIEW "{}")
  if(GZIP_BYTES GREATER 0 AND GZIP_BYTES LESS BYTES)
    string(APPEND BLOBS "web_gzip_${NUMBER}: .incbin \"${OUTPUT}/gzip/${NUMBER}\"\n")
    string(APPEND NAMES "extern const char web_gzip_${NUMBER}[];\n")
    set(GZIP_VIEW "{web_gzip_${NUMBER}, ${GZIP_BYTES}}")
  endif()
  string(APPEND NAMES "extern const char web_file_${NUMBER}[];\n")
  string(APPEND TABLE "    {\"/${FILE}\", \"${TYPE_${KIND}}\", \"${KEEP}\", \"W/\\\"${SUM}\\\"\",\n"
                      "     {web_file_${NUMBER}, ${BYTES}}, ${GZIP_VIEW}},\n")
  math(EXPR NUMBER "${NUMBER} + 1")
endforeach()
if(NUMBER EQUAL 0)
  message(FATAL_ERROR "${DIST} holds no files")
endif()

file(WRITE ${OUTPUT}/web_files.cpp "// Written by cmake/web_page.cmake: the files of the web chat, and their table.
#include \"server/web_page.h\"

asm(R\"(
.pushsection .rodata
${BLOBS}.popsection
)\");

extern \"C\" {
${NAMES}}

namespace minimax::server {
namespace {
// Not constexpr: the addresses are the linker's.
const WebFile kFiles[] = {
${TABLE}};
}  // namespace

std::span<const WebFile> web_files() { return kFiles; }

}  // namespace minimax::server
")
