/* SPDX-License-Identifier: Apache-2.0 */
/* As little of a CPython as makes a layout usable. The thread state's definition is in state.c alone. */
typedef struct _typeobject {
  long pad[3];
  const char *tp_name;
} PyTypeObject;
typedef struct _object {
  long ob_refcnt;
  PyTypeObject *ob_type;
} PyObject;
typedef struct _ts PyThreadState;
typedef struct _is PyInterpreterState;
typedef struct {
  PyObject ob_base;
  int co_firstlineno;
  PyObject *co_filename, *co_name, *co_lnotab;
} PyCodeObject;
typedef struct _frame {
  PyObject ob_base;
  struct _frame *f_back;
  PyCodeObject *f_code;
} PyFrameObject;
typedef struct {
  PyObject ob_base;
  char ob_sval[1];
} PyBytesObject;
typedef struct {
  PyObject ob_base;
  long length;
} PyASCIIObject;

void *eval(PyThreadState *tstate, PyFrameObject *frame, PyBytesObject *bytes, PyASCIIObject *string);
void *state(PyThreadState *tstate);
