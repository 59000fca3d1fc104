/* SPDX-License-Identifier: Apache-2.0 */
/* A program that is linked with Python and dies before it is initialised ("before") or after it was shut down. */
#include <stdlib.h>
#include <string.h>

extern void Py_Initialize(void);
extern void Py_Finalize(void);
extern int PyRun_SimpleStringFlags(const char *, void *);

int main(int count, char **arguments) {
  if (count > 1 && strcmp(arguments[1], "before") == 0) abort();
  Py_Initialize();
  PyRun_SimpleStringFlags("import threading", NULL);
  Py_Finalize();
  abort();
}
