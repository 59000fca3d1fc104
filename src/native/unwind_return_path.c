/* SPDX-License-Identifier: Apache-2.0 */
/* Code without unwinding information still says where it returns to: the machine's decoder follows it to its end. */
#include <string.h>

#include "native/unwind_private.h"

enum { ALL_STEPS_MAX = 8 << 20 }; /* instructions that are looked at for all returns of a process */

bool exu_unwind_return_path_step(struct exu_unwinder *unwinder, const struct exu_unwind_state *state,
                                 struct exu_unwind_state *caller) {
  const struct exu_code_memory memory = exu_unwind_memory(unwinder);
  struct exu_frame_registers frame = {.valid = state->valid, .pc = state->pc}, found;
  size_t steps;
  bool hopeless, fresh;
  if (!unwinder->rules->follow_return || state->pc == 0 || unwinder->return_steps >= ALL_STEPS_MAX) return false;
  if (exu_map_find(&unwinder->no_return, state->pc)) return false;
  memcpy(frame.value, state->value, sizeof frame.value);
  const bool returns = unwinder->rules->follow_return(&memory, &frame, &found, &steps, &hopeless);
  unwinder->return_steps += steps;
  if (hopeless) exu_map_insert(&unwinder->no_return, state->pc, &fresh);
  if (!returns || !exu_unwind_is_return_address(unwinder, found.pc)) return false;
  *caller = (struct exu_unwind_state){.pc = found.pc, .valid = found.valid};
  memcpy(caller->value, found.value, sizeof caller->value);
  return true;
}
