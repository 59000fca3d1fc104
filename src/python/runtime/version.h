/* SPDX-License-Identifier: Apache-2.0 */
/* Which CPython this is, from what the process or its file names say. */
#ifndef EXUVIA_PYTHON_RUNTIME_VERSION_H
#define EXUVIA_PYTHON_RUNTIME_VERSION_H

#include "python/runtime/candidate.h"

/*
 * Parse "3.13.0rc2+ (" and the like at the beginning of `text`: the text of Py_GetVersion(). The length of the version
 * itself is stored in *size. False when it is none.
 */
bool exu_version_parse(const char *text, size_t left, struct exu_version *version, size_t *size);

/*
 * Find the text of Py_GetVersion() ("3.8.18 (default, May  9 2024, ...) \n[GCC ...]") in saved writable memory: in the
 * module's own variables when `module` is given, else anywhere. Sets the build's version, free-threading and
 * py->runtime->version_text.
 */
bool exu_py_version_from_text(struct exu_py_candidate *candidate, const struct exu_binary *module);

/*
 * Major and minor from a file name like libpython3.8.so.1.0 or python3.8: sets py->runtime->version_exact to false and
 * the build's free-threading.
 */
bool exu_py_version_from_path(struct exu_py_candidate *candidate, struct exu_string path);

/* Does the file name look like an interpreter's? "libpython3.8.so.1.0", "python3.8d", "python". */
bool exu_python_like(struct exu_string path);

/* EXU_YES for a file name with the ABI flag `d` (python3.9d, libpython3.9d.so.1.0, python3.9-dbg), else EXU_UNKNOWN. */
enum exu_tristate exu_py_debug_of_path(struct exu_string path);

/* Set py->runtime->version_text from py->runtime->build.version. */
void exu_py_set_version(struct exu_py_candidate *candidate, struct exu_version version, bool exact);

#endif
