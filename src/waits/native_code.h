/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the names of a thread's innermost native functions say about its wait. They may be missing: then nothing is
 * said.
 */
#ifndef EXUVIA_WAITS_NATIVE_CODE_H
#define EXUVIA_WAITS_NATIVE_CODE_H

#include "exuvia/exuvia.h"

enum exu_native_wait {
  EXU_NATIVE_NONE,
  EXU_NATIVE_MUTEX,
  EXU_NATIVE_COND,
  EXU_NATIVE_SEMAPHORE,
  EXU_NATIVE_PYTHON_LOCK, /* a semaphore that the interpreter's own function for locks waits for */
  EXU_NATIVE_JOIN,
  EXU_NATIVE_RWLOCK,
  EXU_NATIVE_BARRIER,
  EXU_NATIVE_ONCE,      /* pthread_once, which std::call_once is made of */
  EXU_NATIVE_GUARD,     /* of a static variable that C++ initialises when it is first used */
  EXU_NATIVE_LIBC_LOCK, /* a lock of the C library's own, of malloc or of a FILE */
  EXU_NATIVE_OTHER, /* nothing of the C library: the program calls syscall(2), as those do that have their own locks */
};

/* Stores the function's plain name, static, unless it returns EXU_NATIVE_NONE. */
enum exu_native_wait exu_native_wait(const struct exu_thread *thread, const char **function);

#endif
