/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two copies of CPython in one process, which do not see each other's symbols: two WHAT LIBRARY HOME LIBRARY HOME. What runs is
 * Python code that says itself where it is, on the standard output: lines of "THREAD RUNTIME FUNCTION", outermost first. The threads
 * then stay where they are.
 *
 *     nested    the main thread goes from one to the other and back, twice; each has a thread of its own; and one thread
 *               that neither made runs both
 *     unused    only the first one is initialised
 *     deadlock  two threads each hold one GIL and ask for the other
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct method {
  const char *name;
  void *(*function)(void *self, void *arguments);
  int flags;
  const char *doc;
};

struct python {
  const char *name;
  void *library;
  void (*initialize)(int);
  void (*initialize_threads)(void);
  int (*run)(const char *);
  int (*ensure)(void);
  void (*release)(int);
  void *(*save)(void);
  void (*restore)(void *);
  void *(*new_function)(struct method *, void *, void *);
  void *(*add_module)(const char *);
  int (*set_attribute)(void *, const char *, void *);
  void (*add_reference)(void *);
  void *none;
};

static struct python pythons[2];
static __thread int holds; /* cross keeps the GIL of where it comes from */
static pthread_barrier_t barrier;

static void *symbol(struct python *python, const char *name) {
  void *address = dlsym(python->library, name);
  if (!address) fprintf(stderr, "%s: no %s\n", python->name, name);
  if (!address) exit(3);
  return address;
}

/* Called by Python code of `from`: let the other one run its next step. */
static void *cross(struct python *from) {
  struct python *to = from == &pythons[0] ? &pythons[1] : &pythons[0];
  if (holds) {
    pthread_barrier_wait(&barrier);
    to->ensure();
    abort();
  }
  void *saved = from->save();
  int state = to->ensure();
  if (to->run("step()") != 0) exit(4);
  to->release(state);
  from->restore(saved);
  from->add_reference(from->none);
  return from->none;
}

static void *cross_from_first(void *self, void *arguments) {
  (void)self;
  (void)arguments;
  return cross(&pythons[0]);
}

static void *cross_from_second(void *self, void *arguments) {
  (void)self;
  (void)arguments;
  return cross(&pythons[1]);
}

static struct method methods[2] = {{"cross", cross_from_first, 4, NULL}, {"cross", cross_from_second, 4, NULL}};

static void load(struct python *python, const char *name, const char *path) {
  python->name = name;
  python->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!python->library) fprintf(stderr, "%s\n", dlerror());
  if (!python->library) exit(2);
}

/* Modules with files of their own cannot be used: they would not find the library's symbols. */
static void start(struct python *python, int index, const char *home) {
  python->initialize = symbol(python, "Py_InitializeEx");
  python->initialize_threads = dlsym(python->library, "PyEval_InitThreads");
  python->run = symbol(python, "PyRun_SimpleString");
  python->ensure = symbol(python, "PyGILState_Ensure");
  python->release = symbol(python, "PyGILState_Release");
  python->save = symbol(python, "PyEval_SaveThread");
  python->restore = symbol(python, "PyEval_RestoreThread");
  python->new_function = symbol(python, "PyCFunction_NewEx");
  python->add_module = symbol(python, "PyImport_AddModule");
  python->set_attribute = symbol(python, "PyObject_SetAttrString");
  python->add_reference = symbol(python, "Py_IncRef");
  python->none = symbol(python, "_Py_NoneStruct");
  setenv("PYTHONHOME", home, 1);
  python->initialize(0);
  if (python->initialize_threads) python->initialize_threads();
  void *module = python->add_module("__main__");
  python->set_attribute(module, "cross", python->new_function(&methods[index], NULL, NULL));
  static const char code[] = "import posix, sys, time\n"
                             "try:\n"
                             "    import _thread\n"
                             "except ImportError:\n"
                             "    import thread as _thread\n"
                             "steps = {}\n"
                             "def note(name):\n"
                             "    depth = steps.get(_thread.get_ident(), 0)\n"
                             "    steps[_thread.get_ident()] = depth + 1\n"
                             "    posix.write(1, ('%d %d %s\\n' % (_thread.get_ident(), index, name)).encode())\n"
                             "    return depth\n"
                             "def step():\n"
                             "    depth = note('step')\n"
                             "    between(depth)\n"
                             "def between(depth):\n"
                             "    note('between')\n"
                             "    if depth < 2 or index == 0: cross()\n"
                             "    else: stay()\n"
                             "def stay():\n"
                             "    note('stay')\n"
                             "    while True: time.sleep(1000)\n"
                             "def alone():\n"
                             "    note('alone')\n"
                             "    stay()\n"
                             "def hold():\n"
                             "    note('hold')\n"
                             "    cross()\n";
  char line[32];
  snprintf(line, sizeof line, "index = %d\n", index);
  if (python->run(line) != 0 || python->run(code) != 0) exit(3);
  python->save();
}

/* Python knows its thread by the ident, and the report by the kernel's number. */
static void enter(struct python *python, const char *code) {
  dprintf(1, "%lu is %d\n", (unsigned long)pthread_self(), (int)syscall(SYS_gettid));
  int state = python->ensure();
  python->run(code);
  python->release(state);
}

static void *alone(void *python) {
  enter(python, "alone()");
  return NULL;
}

static void *both(void *python) {
  enter(python, "step()");
  return NULL;
}

static void *hold(void *python) {
  holds = 1;
  enter(python, "hold()");
  return NULL;
}

static void begin(void *(*function)(void *), struct python *python) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, function, python) != 0) exit(3);
}

int main(int argc, char **argv) {
  if (argc != 6) return 64;
  const int unused = strcmp(argv[1], "unused") == 0;
  pthread_barrier_init(&barrier, NULL, 2);
  load(&pythons[0], "first", argv[2]);
  load(&pythons[1], "second", argv[4]);
  start(&pythons[0], 0, argv[3]);
  if (!unused) start(&pythons[1], 1, argv[5]);
  if (unused) {
    enter(&pythons[0], "alone()");
  } else if (strcmp(argv[1], "deadlock") == 0) {
    begin(hold, &pythons[0]);
    begin(hold, &pythons[1]);
    pause();
  } else {
    begin(alone, &pythons[0]);
    begin(alone, &pythons[1]);
    begin(both, &pythons[0]);
    enter(&pythons[0], "step()");
  }
  return 0;
}
