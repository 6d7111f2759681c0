# SPDX-License-Identifier: MIT
# pkg-config files and the CMake package.
include(CMakePackageConfigHelpers)
# Relative, so that the installed tree is relocatable.
file(RELATIVE_PATH prefix_from_pc ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
set(libraries plugmap)
if(PLUGMAP_BUILD_FAKE)
    list(APPEND libraries plugmap-fake)
endif()
foreach(library ${libraries})
    configure_file(${PROJECT_SOURCE_DIR}/cmake/${library}.pc.in ${PROJECT_BINARY_DIR}/${library}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${library}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
write_basic_package_version_file(${PROJECT_BINARY_DIR}/plugmap-config-version.cmake
    COMPATIBILITY SameMinorVersion)
configure_file(${PROJECT_SOURCE_DIR}/cmake/plugmap-config.cmake.in ${PROJECT_BINARY_DIR}/plugmap-config.cmake @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/plugmap-config.cmake
    ${PROJECT_BINARY_DIR}/plugmap-config-version.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/plugmap)
