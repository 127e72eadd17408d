# What is installed beside the program, and the Debian package (cpack -G DEB). Included by CMakeLists.txt.
include(GNUInstallDirs)
# --version -v: what the program is built with, as package URLs. libunistring tells no version.
set(sbom "pkg:generic/mailhaul@${PROJECT_VERSION}")
foreach(library "openssl;${OPENSSL_VERSION}" "zlib;${ZLIB_VERSION_STRING}" "liburing;${uring_VERSION}" "lmdb;${lmdb_VERSION}"
        "zstd;${zstd_VERSION}" "jansson;${jansson_VERSION}" "inih;${inih_VERSION}" "curl;${curl_VERSION}"
        "gsasl;${gsasl_VERSION}" "libmicrohttpd;${microhttpd_VERSION}" "libunistring;")
  list(GET library 0 name)
  list(GET library 1 version)
  if(version)
    string(APPEND sbom " pkg:generic/${name}@${version}")
  else()
    string(APPEND sbom " pkg:generic/${name}")
  endif()
endforeach()
set_source_files_properties(engine/cli/main.c PROPERTIES COMPILE_DEFINITIONS "MAILHAUL_SBOM=\"${sbom}\"")

add_executable(mailhaul-tables scripts/packaging/tables.c)
target_link_libraries(mailhaul-tables PRIVATE mh_cli)
set(made ${CMAKE_BINARY_DIR}/packaging)
file(MAKE_DIRECTORY ${made})
foreach(shell bash zsh fish)
  add_custom_command(OUTPUT ${made}/mailhaul.${shell}
    COMMAND mailhaul-tables ${shell} > ${made}/mailhaul.${shell} DEPENDS mailhaul-tables VERBATIM)
endforeach()
# Pages are compressed as Debian wants them: smallest, and without a time.
foreach(page "commands;mailhaul.1" "batch-file;mailhaul.ini.5")
  list(GET page 0 part)
  list(GET page 1 name)
  add_custom_command(OUTPUT ${made}/${name}.gz
    COMMAND sh ${CMAKE_SOURCE_DIR}/scripts/packaging/pages ${part} ${CMAKE_SOURCE_DIR}/docs/man/mailhaul.1 > ${made}/${name}
    COMMAND gzip -9nf ${made}/${name}
    DEPENDS docs/man/mailhaul.1 scripts/packaging/pages VERBATIM)
endforeach()
add_custom_target(installed-files ALL DEPENDS ${made}/mailhaul.bash ${made}/mailhaul.zsh ${made}/mailhaul.fish
                  ${made}/mailhaul.1.gz ${made}/mailhaul.ini.5.gz)

set(MAILHAUL_UNIT_DIR lib/systemd/system CACHE STRING "where systemd units are installed, below the prefix")
install(TARGETS mailhaul)
install(FILES ${made}/mailhaul.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${made}/mailhaul.ini.5.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES ${made}/mailhaul.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME mailhaul)
install(FILES ${made}/mailhaul.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _mailhaul)
install(FILES ${made}/mailhaul.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES scripts/packaging/systemd/mailhaul@.service scripts/packaging/systemd/mailhaul@.timer DESTINATION ${MAILHAUL_UNIT_DIR})
install(FILES README.md docs/exchange-online.md docs/guarantees.md docs/rate-control.md docs/rate-control.svg
              docs/security.md docs/sign-in.md docs/quirks.md docs/nights.md
              docs/administrator.md docs/job-scripts.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES scripts/packaging/examples/night-1.ini scripts/packaging/examples/exchange-online.ini scripts/packaging/examples/users.csv
              scripts/packaging/examples/mailhaul.cron scripts/packaging/examples/Containerfile docs/grafana/mailhaul.json
        DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES scripts/slurm/mailhaul-array.sbatch DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)

# --- the Debian package ---
file(READ ${CMAKE_SOURCE_DIR}/scripts/packaging/debian/changelog debian_changelog LIMIT 200)
string(REGEX MATCH "^mailhaul \\(([^)]*)\\)" unused "${debian_changelog}")
set(CPACK_DEBIAN_PACKAGE_VERSION ${CMAKE_MATCH_1})
add_custom_command(OUTPUT ${made}/changelog.Debian.gz
  COMMAND gzip -9nc ${CMAKE_SOURCE_DIR}/scripts/packaging/debian/changelog > ${made}/changelog.Debian.gz
  DEPENDS scripts/packaging/debian/changelog VERBATIM)
add_custom_target(debian-changelog ALL DEPENDS ${made}/changelog.Debian.gz)
install(FILES ${made}/changelog.Debian.gz DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES scripts/packaging/debian/lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides RENAME mailhaul
        COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES scripts/packaging/debian/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT debian EXCLUDE_FROM_ALL)
set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL Unspecified debian)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_NAME mailhaul)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "move mail in bulk from IMAP servers to Exchange Online")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Copies the mailboxes of thousands of users overnight from any IMAP server to
Exchange Online, or to another IMAP server, from a job script. A run that was
stopped or killed goes on where it was; nothing is lost and nothing doubled,
and every message ends in a state with a name that a report accounts for.")
set(CPACK_DEBIAN_PACKAGE_NAME mailhaul)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "mailhaul developers <mailhaul@localhost.localdomain>")
set(CPACK_DEBIAN_PACKAGE_SECTION mail)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "prometheus")
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_PACKAGE_CONTACT "${CPACK_DEBIAN_PACKAGE_MAINTAINER}")
include(CPack)
