/* SPDX-License-Identifier: Apache-2.0 */
#include "process/futex.h"

bool exu_futex_of(const struct exu_call *call, struct exu_futex *futex) {
  /* linux/futex.h */
  enum {
    WAIT = 0,
    LOCK_PI = 6,
    WAIT_BITSET = 9,
    WAIT_REQUEUE_PI = 11,
    LOCK_PI2 = 13,
    COMMAND_MASK = 0x7f,
    PRIVATE = 0x80
  };
  if (!call->call || call->call->class != EXU_CALL_FUTEX || call->args[0] == 0) return false;
  uint64_t command = call->args[1] & COMMAND_MASK;
  bool inherits = command == LOCK_PI || command == LOCK_PI2;
  if (!inherits && command != WAIT && command != WAIT_BITSET && command != WAIT_REQUEUE_PI) return false;
  *futex = (struct exu_futex){.address = call->args[0],
                              .expected = inherits ? 0 : (uint32_t)call->args[2],
                              .inherits = inherits,
                              .shared = (call->args[1] & PRIVATE) == 0,
                              .timed = call->args[3] != 0};
  return true;
}
