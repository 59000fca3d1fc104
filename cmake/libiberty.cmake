# SPDX-License-Identifier: Apache-2.0
# The target libiberty: demangles C++ and Rust names without the C++ runtime. It exists as a static library only, and has
# no pkg-config file.
find_path(LIBIBERTY_INCLUDE_DIR libiberty/demangle.h)
find_library(LIBIBERTY_LIBRARY NAMES libiberty.a)
if(NOT LIBIBERTY_INCLUDE_DIR OR NOT LIBIBERTY_LIBRARY)
  message(FATAL_ERROR "libiberty with its headers is missing: libiberty-dev, binutils-devel or binutils")
endif()
mark_as_advanced(LIBIBERTY_INCLUDE_DIR LIBIBERTY_LIBRARY)

add_library(libiberty STATIC IMPORTED)
set_target_properties(libiberty PROPERTIES
                      IMPORTED_LOCATION ${LIBIBERTY_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${LIBIBERTY_INCLUDE_DIR})
