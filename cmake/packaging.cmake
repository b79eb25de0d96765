# What `cmake --install` puts beside the program, and the Debian package (tools/package.sh).
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME minimax)
set(CPACK_PACKAGE_CONTACT "minimax.cpp maintainers <maintainers@minimax.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "run MiniMax-M1 language models on this machine")
set(CPACK_PACKAGE_DESCRIPTION
    "minimax loads checkpoints of MiniMax-M1 and MiniMax-Text-01 in their
published layout and generates text from them, on the terminal or in
pipes. It maps the checkpoint rather than copying it, and uses the vector
instructions that the processor has.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
                                                WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(NANO_FILES config.json model.safetensors tokenizer.json tokenizer_config.json vocab.json merges.txt)
list(TRANSFORM NANO_FILES PREPEND models/nano/)
install(FILES ${NANO_FILES} DESTINATION ${CMAKE_INSTALL_DATADIR}/minimax/models/nano)
install(FILES models/nano/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME nano.md)
install(FILES packaging/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
# To be copied to /etc/systemd/system once there is a model to serve.
install(FILES packaging/minimax.service DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
# The man page and the completions are the program's own words, so they are asked of it when it is installed.
install(CODE "set(PROGRAM \"$<TARGET_FILE:minimax>\")
set(SOURCE \"${PROJECT_SOURCE_DIR}\")
set(VERSION \"${PROJECT_VERSION}\")
set(MANDIR \"${CMAKE_INSTALL_MANDIR}\")
set(DOCDIR \"${CMAKE_INSTALL_DOCDIR}\")
set(DATADIR \"${CMAKE_INSTALL_DATADIR}\")")
install(SCRIPT cmake/install_docs.cmake)

include(CPack)
