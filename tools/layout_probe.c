/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPython's structures from its installed headers, for kinds of builds that no binary with DWARF is at hand of.
 * tools/update-offsets.sh compiles this with -g -fno-eliminate-unused-debug-types against the headers of one version,
 * with -DPy_DEBUG or -DPy_GIL_DISABLED=1 where that is wanted, and gen_offsets reads the DWARF that the compiler
 * wrote.
 *
 * What CPython defines inside of .c files is restated here. None of it depends on the kind of build but by
 * PyObject_HEAD, and the same probe without -DPy_DEBUG must give what the DWARF of a release build of that version
 * says.
 */
#define Py_BUILD_CORE 1
#include <Python.h>

#include <frameobject.h>
#include <pythread.h>

#if PY_VERSION_HEX >= 0x030E0000
#include <internal/pycore_interpframe.h>
#endif
#if PY_VERSION_HEX >= 0x030D0000
#include <internal/pycore_lock.h>
#include <internal/pycore_pythread.h>
#include <internal/pycore_semaphore.h>
#endif
#if PY_VERSION_HEX >= 0x030B0000
#include <internal/pycore_code.h>
#include <internal/pycore_dict.h>
#include <internal/pycore_frame.h>
#include <internal/pycore_moduleobject.h>
#endif
#if PY_VERSION_HEX >= 0x03090000
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#endif
#if PY_VERSION_HEX >= 0x03080000
#include <internal/pycore_gil.h>
#include <internal/pycore_pystate.h>
#elif PY_VERSION_HEX >= 0x03070000
#include <internal/pystate.h>
#endif

#if PY_VERSION_HEX < 0x030B0000
/* Objects/dict-common.h */
typedef struct {
  Py_hash_t me_hash;
  PyObject *me_key;
  PyObject *me_value;
} PyDictKeyEntry;

struct _dictkeysobject {
  Py_ssize_t dk_refcnt;
  Py_ssize_t dk_size;
  void *dk_lookup;
  Py_ssize_t dk_usable;
  Py_ssize_t dk_nentries;
  char dk_indices[];
};

/* Objects/moduleobject.c */
typedef struct {
  PyObject_HEAD PyObject *md_dict;
  struct PyModuleDef *md_def;
  void *md_state;
  PyObject *md_weaklist;
  PyObject *md_name;
} PyModuleObject;
#endif

/* Modules/_threadmodule.c */
typedef struct {
  PyObject_HEAD
#if PY_VERSION_HEX >= 0x030D0100
      PyMutex lock;
#else
      PyThread_type_lock lock_lock;
  PyObject *in_weakreflist;
  char locked;
#endif
} lockobject;

typedef struct {
  PyObject_HEAD
#if PY_VERSION_HEX >= 0x030E0000
      _PyRecursiveMutex lock;
#else
      PyThread_type_lock rlock_lock;
  unsigned long rlock_owner;
  unsigned long rlock_count;
  PyObject *in_weakreflist;
#endif
} rlockobject;

#if PY_VERSION_HEX >= 0x030D0000
typedef struct {
  struct llist_node node;
  struct llist_node shutdown_node;
  PyThread_ident_t ident;
  PyThread_handle_t os_handle;
  int has_os_handle;
  int state;
  PyMutex mutex;
  PyEvent thread_is_exiting;
} ThreadHandle;

typedef struct {
  PyObject_HEAD ThreadHandle *handle;
} PyThreadHandleObject;

/* Python/parking_lot.c */
struct wait_entry {
  void *park_arg;
  uintptr_t addr;
  _PySemaphore sema;
  struct llist_node node;
  bool is_unparking;
};
#endif

/* Modules/_io/bufferedio.c, and textio.c as far as `buffer` */
typedef struct {
  PyObject_HEAD PyObject *raw;
  int ok;
  int detached;
  int readable;
  int writable;
  char finalizing;
  int fast_closed_checks;
  int64_t abs_pos;
  char *data;
  int64_t pos;
  int64_t raw_pos;
  int64_t read_end;
  int64_t write_pos;
  int64_t write_end;
  PyThread_type_lock lock;
  volatile unsigned long owner;
} buffered;

typedef struct {
  PyObject_HEAD buffered *reader;
  buffered *writer;
} rwpair;

typedef struct {
  PyObject_HEAD int ok;
  int detached;
  Py_ssize_t chunk_size;
  PyObject *buffer;
} textio;

/* Something to link. */
const unsigned layout_probe_version = PY_VERSION_HEX;
