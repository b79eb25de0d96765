# CUDA, if there is a compiler for it. All CUDA code goes into one module that the program opens at run time, so the same
# program runs on machines without a toolkit, a driver or a GPU; nothing links the driver library.
#
# Sets MINIMAX_HAS_CUDA, and defines minimax_cuda_module().
set(MINIMAX_CUDA AUTO CACHE STRING "build the CUDA module: AUTO (when nvcc works), ON or OFF")
set_property(CACHE MINIMAX_CUDA PROPERTY STRINGS AUTO ON OFF)

set(MINIMAX_HAS_CUDA OFF)
if(NOT MINIMAX_CUDA STREQUAL "AUTO" AND NOT MINIMAX_CUDA)
  return()
endif()

if(NOT CMAKE_CUDA_COMPILER)
  find_program(CMAKE_CUDA_COMPILER nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
endif()

# A toolkit that cannot compile C++20 with the compiler at hand must not stop the build of everything else, and
# enable_language would. So it is tried first; the answer is kept, since nvcc takes a second.
if(MINIMAX_CUDA STREQUAL "AUTO")
  if(NOT CMAKE_CUDA_COMPILER)
    message(STATUS "CUDA: no nvcc found, building without")
    return()
  endif()
  if(NOT MINIMAX_NVCC_TRIED STREQUAL CMAKE_CUDA_COMPILER)
    set(TRIAL ${PROJECT_BINARY_DIR}/CMakeFiles/cuda_trial.cu)
    file(WRITE ${TRIAL} "#include <concepts>\n#include <cuda_runtime.h>\ntemplate <std::integral T> __global__ void f(T*) {}\n"
                        "template __global__ void f(int*);\n")
    execute_process(COMMAND ${CMAKE_CUDA_COMPILER} -std=c++20 -c ${TRIAL} -o ${TRIAL}.o
                    RESULT_VARIABLE FAILED OUTPUT_VARIABLE OUTPUT ERROR_VARIABLE OUTPUT)
    set(MINIMAX_NVCC_TRIED ${CMAKE_CUDA_COMPILER} CACHE INTERNAL "the nvcc whose trial is recorded")
    set(MINIMAX_NVCC_FAILED "${FAILED}" CACHE INTERNAL "how that trial ended")
    set(MINIMAX_NVCC_OUTPUT "${OUTPUT}" CACHE INTERNAL "what it said")
  endif()
  if(MINIMAX_NVCC_FAILED)
    message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER} cannot compile C++20, building without. It said: ${MINIMAX_NVCC_OUTPUT}")
    return()
  endif()
elseif(NOT CMAKE_CUDA_COMPILER)
  message(FATAL_ERROR "MINIMAX_CUDA is ON and there is no nvcc in PATH, CUDA_HOME or /usr/local/cuda")
endif()

if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES "80-real;90a-real")
endif()
enable_language(CUDA)
# CMake 3.25 does not know that nvcc speaks C++20 and would silently give C++17.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
set(CMAKE_CUDA_STANDARD 20)
# With a minimum of exactly 3.25 the finder of CMake 3.25.1 stops at CUDA 13, which has no nvToolsExt: hence the range in
# cmake_minimum_required.
find_package(CUDAToolkit 12 REQUIRED)
set(MINIMAX_HAS_CUDA ON)
message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER}, toolkit ${CUDAToolkit_VERSION}, for ${CMAKE_CUDA_ARCHITECTURES}")

# minimax_cuda_module(NAME SOURCES a.cu ... [LINK CUDA::cublasLt ...]): libNAME.so beside the program, opened with dlopen.
# The runtime is linked statically; LINK is for the toolkit's shared libraries.
function(minimax_cuda_module NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(${NAME} MODULE ${ARG_SOURCES})
  set_target_properties(${NAME} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR} NO_SONAME ON
                                           CUDA_VISIBILITY_PRESET hidden
                                           CXX_VISIBILITY_PRESET hidden)
  target_include_directories(${NAME} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${NAME} PRIVATE CUDA::cudart_static ${ARG_LINK})
  if(ARG_LINK)
    # CMake takes the toolkit's folder for one that the loader knows anyway and drops it.
    target_link_options(${NAME} PRIVATE "LINKER:-rpath,${CUDAToolkit_LIBRARY_DIR}")
  endif()
  # One folder deeper than where CPack takes every file for the loader's and calls ldconfig.
  install(TARGETS ${NAME} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/minimax/modules)
endfunction()

# minimax_gpu_program(TARGET): a test or benchmark that tools/gpu_check.sh runs, with the module it was built with.
function(minimax_gpu_program TARGET)
  target_compile_definitions(${TARGET} PRIVATE MINIMAX_CUDA_MODULE="${PROJECT_BINARY_DIR}/libminimax_cuda.so")
  add_dependencies(${TARGET} minimax_cuda)
  set_target_properties(${TARGET} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/gpu)
endfunction()
