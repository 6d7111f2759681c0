# SPDX-License-Identifier: MIT
# Pages of the manual in ${PROJECT_BINARY_DIR}/man: of the commands from the tables of their command lines, which also make
# the completion for shells; of the headers from their comments; of formats and the library from docs/.
find_program(AWK NAMES mawk gawk awk)
if(NOT AWK OR CMAKE_CROSSCOMPILING)
    message(STATUS "No awk, or cross compiling: building no pages of the manual and no completion")
    return()
endif()
set(man ${PROJECT_BINARY_DIR}/man)
set(roff ${PROJECT_SOURCE_DIR}/tools/man/roff.awk)
# $SOURCE_DATE_EPOCH, if set.
string(TIMESTAMP date "%Y-%m-%d" UTC)
set(values -v date=${date} -v version=${PROJECT_VERSION})
set(pages)

# plugmap_page(page script source values...): writes a page with an awk script.
function(plugmap_page page script source)
    get_filename_component(folder ${man}/${page} DIRECTORY)
    set(script ${PROJECT_SOURCE_DIR}/tools/man/${script})
    add_custom_command(OUTPUT ${man}/${page}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
        COMMAND ${AWK} ${values} ${ARGN} -f ${roff} -f ${script} ${PROJECT_SOURCE_DIR}/${source} > ${man}/${page}
        DEPENDS ${roff} ${script} ${PROJECT_SOURCE_DIR}/${source} VERBATIM)
    set(pages ${pages} ${man}/${page} PARENT_SCOPE)
endfunction()

file(GLOB headers RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/plugmap/*.h)
foreach(header ${headers})
    get_filename_component(name ${header} NAME_WE)
    string(APPEND see_also "plugmap-${name}(3) ")
    set(page man3/plugmap-${name}.3)
    if(name STREQUAL plugmap)
        set(page man3/plugmap.h.3)
    endif()
    plugmap_page(${page} header.awk ${header} -v aliases=${man}/man3)
endforeach()
string(REPLACE "plugmap-plugmap(3)" "plugmap.h(3)" see_also "${see_also}")
plugmap_page(man5/plugmap-trace.5 markdown.awk docs/trace-format.md -v name=plugmap-trace -v section=5
    -v "summary=traces of a VM's growing memory: plugmap's format, QEMU's log, DMA logs"
    -v "see_also=plugmap(1) plugmap-replay(1) plugmap-convert(1)")
plugmap_page(man7/libplugmap.7 markdown.awk docs/embedding.md -v name=libplugmap -v section=7
    -v "summary=library that keeps DMA mappings equal to the plugged blocks of a virtio-mem device"
    -v "see_also=${see_also}plugmap(1)")

add_custom_command(OUTPUT ${man}/commands
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${man}/man1 ${man}/bash ${man}/zsh ${man}/fish
    COMMAND plugmap-command help --files ${man}
    COMMAND ${CMAKE_COMMAND} -E touch ${man}/commands
    DEPENDS plugmap-command VERBATIM)
add_custom_target(plugmap-man ALL DEPENDS ${pages} ${man}/commands)
if(PLUGMAP_INSTALL)
    install(DIRECTORY ${man}/man1 ${man}/man3 ${man}/man5 ${man}/man7 DESTINATION ${CMAKE_INSTALL_MANDIR})
    # Where the shells of Debian and of most others look.
    install(FILES ${man}/bash/plugmap DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
    install(FILES ${man}/zsh/_plugmap DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
    install(FILES ${man}/fish/plugmap.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()
