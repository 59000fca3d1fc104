/* SPDX-License-Identifier: Apache-2.0 */
#include "process/siginfo.h"

bool exu_siginfo_decode(const struct exu_arch *arch, struct exu_cursor bytes, struct exu_siginfo *siginfo) {
  /* siginfo_t: three ints, and behind them a union that is aligned like a pointer. */
  const size_t word = arch->word_size, before = (3 * sizeof(int32_t) + word - 1) / word * word;
  struct exu_cursor fields = bytes;
  struct exu_siginfo decoded = {.present = true};
  decoded.signal = (int32_t)exu_cursor_u32(&fields);
  decoded.error = (int32_t)exu_cursor_u32(&fields);
  decoded.code = (int32_t)exu_cursor_u32(&fields);
  exu_cursor_skip(&bytes, before);
  struct exu_cursor address = bytes;
  decoded.address = word == sizeof(uint64_t) ? exu_cursor_u64(&address) : exu_cursor_u32(&address);
  decoded.pid = (int32_t)exu_cursor_u32(&bytes);
  decoded.uid = exu_cursor_u32(&bytes);
  if (fields.failed || address.failed || bytes.failed) return false;
  *siginfo = decoded;
  return true;
}
