/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter inside a process: its build, its layout, and how its fields are read. Shared by all of src/python. */
#ifndef EXUVIA_PYTHON_READER_H
#define EXUVIA_PYTHON_READER_H

#include "base/arena.h"
#include "base/diagnostics.h"
#include "base/map.h"
#include "binary/module.h"
#include "process/process.h"
#include "python/layout/layout.h"

/*
 * Variables of the library that are not in _PyRuntime. Addresses in the process, 0: unknown. All are static in
 * CPython's source (only a .symtab has them) except _PyThreadState_Current and _Py_Finalizing, which are exported.
 */
struct exu_py_variables {
  uint64_t interp_head;    /* pystate.c, up to 3.6 */
  uint64_t current_tstate; /* _PyThreadState_Current, up to 3.6 */
  uint64_t gc_collecting;  /* gcmodule.c, up to 3.6 */
  uint64_t gil_cond;       /* ceval_gil.h, 3.6 */
  uint64_t gil_mutex;      /* likewise, and these: */
  uint64_t switch_cond;
  uint64_t switch_mutex;
  uint64_t gil_lock;    /* ceval.c interpreter_lock, 2.7: a pointer to a semaphore */
  uint64_t finalizing;  /* _Py_Finalizing, 3.6: the thread state that shuts the interpreter down, or NULL */
  uint64_t initialized; /* pythonrun.c, 2.7: an int that Py_Finalize clears before it takes the interpreter down */
};

/* What runs: its build, how it is laid out and where it is. Found once (python/runtime/), the same for every reader. */
struct exu_py_runtime {
  struct exu_build build;
  struct exu_string version_text; /* unknown patch: "3.8" */
  bool version_exact;             /* false: only major and minor are known */
  enum exu_tristate debug;
  struct exu_layout layout;
  enum exu_found_by found_by;
  enum exu_layout_from layout_from;
  bool layout_known;         /* false: a newer release than this program knows, read as the newest that it does */
  struct exu_binary *module; /* that contains the runtime; NULL unknown */
  uint64_t address;          /* of _PyRuntime; 0: none, or unknown */
  uint64_t interpreters;     /* the first interpreter; 0: none */
  struct exu_py_variables variables;
};

/* Budgets of one reader: Python frames, whatever threads claim, and entries of dictionaries, each look at one. */
enum { EXU_PY_FRAMES_MAX = 1000 * 1000, EXU_PY_ENTRIES_MAX = 16 * 1024 * 1024 };

/* A reader of one runtime: its caches, its budgets, where what it reads is kept and what it cannot read is said. */
struct exu_py {
  const struct exu_py_runtime *runtime; /* borrowed, as these: */
  const struct exu_process *process;
  struct exu_space *space;
  struct exu_modules *modules;
  struct exu_arena *arena;
  struct exu_diagnostics *diagnostics;

  struct exu_map codes;         /* code object -> struct exu_py_code */
  struct exu_map types;         /* type object -> what types.c knows of it */
  uint64_t unicode_type;        /* `str`, learned from the first code object that checks out; 0: not yet */
  uint64_t code_type;           /* likewise */
  bool streams_sought;          /* whether sys was looked at for these: */
  uint64_t streams[6];          /* sys.stdout and the like; 0: unknown (waits_lock.c) */
  bool import_lock_sought;      /* whether exu_py_find_import_lock has looked for these: */
  uint64_t import_lock;         /* import.c, up to 3.11: a pointer to a semaphore; 0: unknown */
  uint64_t import_lock_owner;   /* likewise, import_lock_thread: the ident of the thread that holds it, or -1 */
  enum exu_tristate finalizing; /* it is shutting down; set with the threads */
  uint64_t frames_left;         /* of EXU_PY_FRAMES_MAX */
  uint64_t entries_left;        /* of EXU_PY_ENTRIES_MAX */
};

/*
 * A new reader of the runtime, which must outlive it. There may be several of one: what is tried and thrown away has a
 * reader of its own, with its own arena and diagnostics. exu_py_deinit.
 */
struct exu_py exu_py_reader(const struct exu_py_runtime *runtime, const struct exu_process *process,
                            struct exu_modules *modules, struct exu_arena *arena, struct exu_diagnostics *diagnostics);

/* Release the caches; the arena keeps the rest. */
void exu_py_deinit(struct exu_py *py);

/* Reading fields. A structure is a buffer that holds its first `size` bytes. */

/* Read one field of the structure at `address` as an unsigned number. False: absent or not readable. */
bool exu_py_get(const struct exu_py *py, uint64_t address, struct exu_field field, uint64_t *value);

/* The same from a copy of the structure. 0 when the field is absent or lies outside the copy. */
uint64_t exu_py_field(const void *structure, size_t size, struct exu_field field);

/* Bytes of a structure that have to be read so that all `count` fields are in the copy. */
size_t exu_py_extent(const struct exu_field *fields, size_t count);

static inline bool exu_py_has(struct exu_field field) { return field.size != 0; }

/* Bytes of a word: a pointer, a size_t, a Py_ssize_t. */
static inline uint64_t exu_py_word_size(const struct exu_py *py) { return py->process->arch->word_size; }

/* The address of an element of an array of words. */
static inline uint64_t exu_py_at(const struct exu_py *py, uint64_t array, uint64_t index) {
  return array + exu_py_word_size(py) * index;
}

/* Read a word; false when it cannot be read. */
bool exu_py_word(const struct exu_py *py, uint64_t address, uint64_t *value);

/* Read several, which follow each other: all or none. At most EXU_PY_WORDS_MAX. */
enum { EXU_PY_WORDS_MAX = 8 };
bool exu_py_words(const struct exu_py *py, uint64_t address, uint64_t *values, size_t count);

/* Could this be the address of a structure: not NULL, word aligned, in user space? */
bool exu_py_plausible(uint64_t address);

/* Is the version that is read at least major.minor? */
bool exu_py_at_least(const struct exu_py *py, int major, int minor);

#endif
