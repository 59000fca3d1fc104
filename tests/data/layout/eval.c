/* SPDX-License-Identifier: Apache-2.0 */
#include "python.h"

void *eval(PyThreadState *tstate, PyFrameObject *frame, PyBytesObject *bytes, PyASCIIObject *string) {
  if (bytes->ob_sval[0]) return (void *)frame->f_code->co_name->ob_type->tp_name;
  return string->length ? frame->f_back : state(tstate);
}
