/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks like an interpreter of a version that nobody can read. With COOKIE: by a _Py_DebugOffsets of that version
 * (PY_VERSION_HEX) whose offsets are nonsense; else by the text of Py_GetVersion() and the variables of an old one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef COOKIE
struct {
  char cookie[8];
  uint64_t version;
  uint64_t offsets[300];
} _PyRuntime = {{'x', 'd', 'e', 'b', 'u', 'g', 'p', 'y'}, COOKIE, {0}};
#else
char version[250] = VERSION_TEXT " (default, Jan  1 2017, 00:00:00) \n[GCC 6.3.0]";
void *interp_head;
void *_PyThreadState_Current;
#endif

int main(void) {
#ifdef COOKIE
  memset(_PyRuntime.offsets, 0xee, sizeof _PyRuntime.offsets);
#else
  interp_head = version;
  _PyThreadState_Current = version;
#endif
  abort();
}
