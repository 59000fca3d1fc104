/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/semlock.h"

#include "waits/locks.h"

/* What follows the object's header (Modules/_multiprocessing/semaphore.c, the same from 2.6 on; `name` came later). */
struct words {
  uint64_t handle;
  uint64_t last_tid; /* ident of the thread of this process that took it last */
  int32_t count;     /* how often this process has taken it without releasing it */
  int32_t maxvalue;
  int32_t kind;
};

enum { RECURSIVE_MUTEX = 0, SEMAPHORE = 1 };

bool exu_py_semlock_read(struct exu_py *py, uint64_t object, struct exu_py_semlock *semlock) {
  struct words words;
  uint64_t head = py->runtime->layout.object_size.size;
  if (head == 0 || exu_space_read(py->space, object + head, &words, sizeof words) != EXU_READABLE) return false;
  if (words.kind != RECURSIVE_MUTEX && words.kind != SEMAPHORE) return false;
  if (words.handle == 0 || words.maxvalue < 1) return false;
  *semlock = (struct exu_py_semlock){
      .semaphore = words.handle, .recursive = words.kind == RECURSIVE_MUTEX, .limit = words.maxvalue};
  /* Other kinds can be released by any process: what this one has counted says nothing then. */
  if (!semlock->recursive || exu_py_semaphore_taken(py, words.handle) != EXU_YES) return true;
  if (words.count > 0) semlock->owner_ident = words.last_tid;
  semlock->elsewhere = words.count == 0;
  return true;
}
