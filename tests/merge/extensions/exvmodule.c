/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real extension module, built where an interpreter's headers are: calls, an iterator, a destructor, a foreign
 * thread.
 */
#include <Python.h>
#include <pthread.h>

static void (*enter)(const char *);
static void (*leave)(void);

static PyObject *exv_ext_connect(PyObject *self, PyObject *arguments) {
  unsigned long long first, second;
  (void)self;
  if (!PyArg_ParseTuple(arguments, "KK", &first, &second)) return NULL;
  enter = (void (*)(const char *))(uintptr_t)first;
  leave = (void (*)(void))(uintptr_t)second;
  Py_RETURN_NONE;
}

__attribute__((noinline)) static PyObject *exv_ext_call(PyObject *self, PyObject *function) {
  (void)self;
  enter("exv_ext_call");
  PyObject *result = PyObject_CallObject(function, NULL);
  leave();
  return result;
}

static void *exv_ext_foreign(void *function) {
  PyGILState_STATE state = PyGILState_Ensure();
  enter("exv_ext_foreign");
  PyObject *result = PyObject_CallObject(function, NULL);
  Py_XDECREF(result);
  leave();
  PyGILState_Release(state);
  return NULL;
}

static PyObject *exv_ext_thread(PyObject *self, PyObject *function) {
  pthread_t thread;
  (void)self;
  Py_INCREF(function);
  pthread_create(&thread, NULL, exv_ext_foreign, function);
  Py_RETURN_NONE;
}

/* Call a function at an address where none is. */
__attribute__((noinline)) static PyObject *exv_ext_bad_call(PyObject *self, PyObject *address) {
  (void)self;
  PyObject *(*function)(void) = (PyObject * (*)(void)) PyLong_AsVoidPtr(address);
  PyObject *result = function();
  Py_XINCREF(result);
  return result;
}

/* Read from an address where nothing is. */
__attribute__((noinline)) static PyObject *exv_ext_crash(PyObject *self, PyObject *address) {
  (void)self;
  return PyLong_FromLong(*(volatile int *)PyLong_AsVoidPtr(address));
}

/* An iterator that calls its function for every item. */
typedef struct {
  PyObject_HEAD PyObject *function;
} Caller;

__attribute__((noinline)) static PyObject *exv_ext_next(PyObject *self) {
  enter("exv_ext_next");
  PyObject *result = PyObject_CallObject(((Caller *)self)->function, NULL);
  leave();
  return result;
}

__attribute__((noinline)) static void exv_ext_dealloc(PyObject *self) {
  Caller *caller = (Caller *)self;
  enter("exv_ext_dealloc");
  PyObject *result = PyObject_CallObject(caller->function, NULL);
  leave();
  Py_XDECREF(result);
  PyErr_Clear();
  Py_DECREF(caller->function);
  PyObject_Free(self);
}

static PyTypeObject caller_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "exvmodule.Caller",
                                   .tp_basicsize = sizeof(Caller),
                                   .tp_dealloc = exv_ext_dealloc,
                                   .tp_flags = Py_TPFLAGS_DEFAULT,
                                   .tp_iter = PyObject_SelfIter,
                                   .tp_iternext = exv_ext_next};

static PyObject *exv_ext_caller(PyObject *self, PyObject *function) {
  (void)self;
  Caller *caller = PyObject_New(Caller, &caller_type);
  if (!caller) return NULL;
  Py_INCREF(function);
  caller->function = function;
  return (PyObject *)caller;
}

static PyMethodDef methods[] = {{"connect", exv_ext_connect, METH_VARARGS, NULL},
                                {"call", exv_ext_call, METH_O, NULL},
                                {"bad_call", exv_ext_bad_call, METH_O, NULL},
                                {"crash", exv_ext_crash, METH_O, NULL},
                                {"thread", exv_ext_thread, METH_O, NULL},
                                {"caller", exv_ext_caller, METH_O, NULL},
                                {NULL, NULL, 0, NULL}};

#if PY_MAJOR_VERSION >= 3
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "exvmodule", .m_size = -1,
                                        .m_methods = methods};

PyMODINIT_FUNC PyInit_exvmodule(void) {
  if (PyType_Ready(&caller_type) < 0) return NULL;
  return PyModule_Create(&definition);
}
#else
PyMODINIT_FUNC initexvmodule(void) {
  if (PyType_Ready(&caller_type) < 0) return;
  Py_InitModule("exvmodule", methods);
}
#endif
