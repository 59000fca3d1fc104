# SPDX-License-Identifier: Apache-2.0
# binary, libraries, header, pkg-config file, manual page, documents
install(TARGETS exuvia exuvia_static exuvia_shared
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/exuvia/exuvia.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/exuvia)

# Relative, so that `cmake --install --prefix` and a moved tree need no other file.
file(RELATIVE_PATH pc_to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/exuvia.pc.in exuvia.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/exuvia.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

configure_file(docs/exuvia.1.in exuvia.1 @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/exuvia.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

file(GLOB documents CONFIGURE_DEPENDS docs/*.md docs/*.json)
install(FILES README.md CHANGELOG.md LICENSE ${documents} DESTINATION ${CMAKE_INSTALL_DOCDIR})
