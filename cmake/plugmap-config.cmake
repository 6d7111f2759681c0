# SPDX-License-Identifier: MIT
include(CMakeFindDependencyMacro)
find_dependency(PkgConfig)
pkg_check_modules(GLIB REQUIRED IMPORTED_TARGET glib-2.0>=2.74)
pkg_check_modules(CAP REQUIRED IMPORTED_TARGET libcap-ng)
pkg_check_modules(URING REQUIRED IMPORTED_TARGET liburing)
include(${CMAKE_CURRENT_LIST_DIR}/plugmap-targets.cmake)
