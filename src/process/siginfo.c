/* SPDX-License-Identifier: Apache-2.0 */
#include "process/siginfo.h"

/* siginfo_t: three ints, and on 64-bit machines a word of padding before the union. */
enum { SIGINFO_UNION = 16 };

bool exu_siginfo_decode(struct exu_cursor bytes, struct exu_siginfo *siginfo) {
  struct exu_cursor fields = bytes;
  struct exu_siginfo decoded = {.present = true};
  decoded.signal = (int32_t)exu_cursor_u32(&fields);
  decoded.error = (int32_t)exu_cursor_u32(&fields);
  decoded.code = (int32_t)exu_cursor_u32(&fields);
  exu_cursor_skip(&bytes, SIGINFO_UNION);
  struct exu_cursor address = bytes;
  decoded.address = exu_cursor_u64(&address);
  decoded.pid = (int32_t)exu_cursor_u32(&bytes);
  decoded.uid = exu_cursor_u32(&bytes);
  if (fields.failed || address.failed || bytes.failed) return false;
  *siginfo = decoded;
  return true;
}
