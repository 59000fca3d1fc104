/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a frame to its caller where there is no unwinding information: never by guessing, only by what can be checked.
 */
#include <elf.h>
#include <string.h>

#include "binary/debug_file.h"
#include "native/unwind_private.h"

static bool knows(const struct exu_unwind_state *state, uint8_t number) { return state->valid >> number & 1; }

bool exu_unwind_is_executable(const struct exu_unwinder *unwinder, uint64_t address) {
  const struct exu_region *region = exu_space_find(unwinder->process->space, address);
  if (!region || !(region->prot & EXU_PROT_UNKNOWN)) return region && (region->prot & EXU_PROT_EXEC);
  const struct exu_binary *module = exu_modules_find(unwinder->modules, address);
  for (size_t i = 0; module && module->image && i < module->image->segment_count; i++) {
    const struct exu_elf_segment *segment = &module->image->segments[i];
    if (segment->type != PT_LOAD || !(segment->flags & PF_X)) continue;
    if (address >= module->bias + segment->vaddr && address - module->bias - segment->vaddr < segment->memsz)
      return true;
  }
  return false;
}

bool exu_unwind_same_stack(const struct exu_unwinder *unwinder, uint64_t a, uint64_t b) {
  const struct exu_region *region = exu_space_find(unwinder->process->space, a);
  return region && b >= region->start && b < region->end;
}

/* ---- The process, for the machine's operations ------------------------------------------------------------------ */

static bool read_any(const void *context, uint64_t address, void *bytes, size_t size) {
  const struct exu_unwinder *unwinder = context;
  return exu_space_read(unwinder->process->space, address, bytes, size) == EXU_READABLE;
}

static bool read_stack(const void *context, uint64_t address, uint64_t *word) {
  return exu_unwind_read_words(context, address, word, 1);
}

static size_t read_code(const void *context, uint64_t address, uint8_t *bytes, size_t size) {
  const struct exu_unwinder *unwinder = context;
  if (!exu_unwind_is_executable(unwinder, address)) return 0;
  /* The end of a mapping may be near. */
  size_t got = exu_space_read_some(unwinder->process->space, address, bytes, size);
  const struct exu_region *region = exu_space_find(unwinder->process->space, address);
  return region && got > region->end - address ? (size_t)(region->end - address) : got;
}

static bool same_stack(const void *context, uint64_t a, uint64_t b) { return exu_unwind_same_stack(context, a, b); }

struct exu_code_memory exu_unwind_memory(const struct exu_unwinder *unwinder) {
  return (struct exu_code_memory){.context = unwinder,
                                  .read = read_any,
                                  .read_stack = read_stack,
                                  .read_code = read_code,
                                  .same_stack = same_stack};
}

void exu_unwind_take_registers(const struct exu_unwinder *unwinder, const struct exu_registers *registers,
                               struct exu_unwind_state *state) {
  const unsigned count = unwinder->rules->register_count;
  state->valid = (uint32_t)(registers->valid & ((UINT64_C(1) << count) - 1));
  memcpy(state->value, registers->value, count * sizeof *state->value);
}

/* ---- Return addresses -------------------------------------------------------------------------------------------- */

enum { CALL_MAX = 16 };

enum code_before { NOT_READ, NO_CALL, CALL };

static enum code_before code_before(const struct exu_unwinder *unwinder, uint64_t address) {
  const size_t size = unwinder->rules->call_size_max;
  uint8_t code[CALL_MAX];
  if (size > sizeof code || address < size || !exu_unwind_is_executable(unwinder, address - 1)) return NOT_READ;
  if (exu_space_read(unwinder->process->space, address - size, code, size) != EXU_READABLE) return NOT_READ;
  return unwinder->rules->ends_with_call(code) ? CALL : NO_CALL;
}

bool exu_unwind_is_return_address(const struct exu_unwinder *unwinder, uint64_t address) {
  return code_before(unwinder, address) == CALL;
}

bool exu_unwind_is_no_return_address(const struct exu_unwinder *unwinder, uint64_t address) {
  return code_before(unwinder, address) == NO_CALL;
}

bool exu_unwind_call_target(const struct exu_unwinder *unwinder, uint64_t return_address, uint64_t *target) {
  const struct exu_code_memory memory = exu_unwind_memory(unwinder);
  return unwinder->rules->call_target(&memory, return_address, target);
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

bool exu_unwind_bad_call_step(const struct exu_unwinder *unwinder, const struct exu_unwind_state *state,
                              struct exu_unwind_state *caller) {
  const uint8_t sp = unwinder->rules->sp;
  uint64_t word;
  /* Where code can be executed some of it may have run. */
  if (!unwinder->rules->call_pushes || !state->exact || !knows(state, sp)) return false;
  if (exu_unwind_is_executable(unwinder, state->pc)) return false;
  if (!exu_unwind_read_words(unwinder, state->value[sp], &word, 1) || !exu_unwind_is_return_address(unwinder, word))
    return false;
  *caller = *state;
  caller->value[sp] += unwinder->process->arch->word_size;
  caller->pc = word;
  caller->exact = false;
  return true;
}

bool exu_unwind_after_system_call(const struct exu_unwinder *unwinder, uint64_t pc) {
  const struct exu_arch *arch = unwinder->process->arch;
  const size_t size = arch->system_call_size;
  uint8_t bytes[sizeof arch->system_call_code];
  return pc >= size && exu_space_read(unwinder->process->space, pc - size, bytes, size) == EXU_READABLE &&
         memcmp(bytes, arch->system_call_code, size) == 0;
}

bool exu_unwind_system_call_step(const struct exu_unwinder *unwinder, const struct exu_unwind_state *state,
                                 struct exu_unwind_state *caller) {
  enum { FUNCTION_MAX = 256 };
  const uint8_t sp = unwinder->rules->sp, result = unwinder->process->arch->call_result;
  uint64_t word, target;
  if (!unwinder->rules->call_pushes || !state->exact || !knows(state, sp)) return false;
  if (!knows(state, result) || state->value[result] == 0) return false;
  if (!exu_unwind_after_system_call(unwinder, state->pc)) return false;
  if (!exu_unwind_read_words(unwinder, state->value[sp], &word, 1)) return false;
  if (!exu_unwind_call_target(unwinder, word, &target)) return false;
  if (target >= state->pc || state->pc - target > FUNCTION_MAX) return false;
  *caller = *state;
  caller->value[sp] += unwinder->process->arch->word_size;
  caller->pc = word;
  caller->exact = false;
  return true;
}

/* Does the code at a function's start make a frame pointer, before pc? */
static bool makes_frame(const struct exu_unwinder *unwinder, uint64_t start, uint64_t pc) {
  enum { FUNCTION_MAX = 1 << 20 };
  const struct exu_code_memory memory = exu_unwind_memory(unwinder);
  return start < pc && pc - start <= FUNCTION_MAX && unwinder->rules->makes_frame(&memory, start, pc);
}

/* Where the function that contains pc begins, by its symbol; 0: unknown. */
static uint64_t start_by_symbol(const struct exu_unwinder *unwinder, uint64_t pc) {
  struct exu_binary *module = exu_modules_find(unwinder->modules, pc);
  struct exu_elf_file *file = module ? exu_modules_file_or_image(unwinder->modules, module) : NULL;
  if (!file) return 0;
  struct exu_elf_cover cover = {.address = pc - module->bias};
  exu_elf_file_cover(file, &cover, 1, unwinder->arena);
  return cover.name.data ? cover.start + module->bias : 0;
}

/* By its symbol, once for every pc. */
static bool is_framed(struct exu_unwinder *unwinder, uint64_t pc) {
  bool is_new;
  uint64_t *framed = pc ? exu_map_insert_number(&unwinder->framed, pc, &is_new) : NULL;
  if (!framed) return false;
  if (is_new) {
    uint64_t start = start_by_symbol(unwinder, pc);
    *framed = start && makes_frame(unwinder, start, pc);
  }
  return *framed != 0;
}

/*
 * The register is a frame pointer of the frame at hand only if its own function made it so: else it belongs to a frame
 * further out, and those between would be lost in silence.
 */
bool exu_unwind_frame_pointer_step(struct exu_unwinder *unwinder, const struct exu_unwind_state *state,
                                   struct exu_unwind_state *caller) {
  const struct exu_arch_unwind *rules = unwinder->rules;
  const uint64_t sp = state->value[rules->sp], frame = state->value[rules->frame_pointer];
  const uint64_t word = unwinder->process->arch->word_size;
  uint64_t saved[2], target;
  if (!knows(state, rules->sp) || !knows(state, rules->frame_pointer) || frame < sp || frame % word != 0) return false;
  if (!exu_unwind_same_stack(unwinder, sp, frame) || !exu_unwind_read_words(unwinder, frame, saved, 2)) return false;
  /* saved[0] can be anything: the caller need not have a frame pointer. */
  if (!exu_unwind_is_return_address(unwinder, saved[1])) return false;
  bool called = exu_unwind_call_target(unwinder, saved[1], &target) && makes_frame(unwinder, target, state->pc);
  if (!called && !is_framed(unwinder, state->pc)) return false;
  /* What the callee may have done to the other registers is not known. */
  *caller = (struct exu_unwind_state){.pc = saved[1], .by_frame_pointer = true};
  caller->valid = 1U << rules->sp | 1U << rules->frame_pointer;
  caller->value[rules->frame_pointer] = saved[0];
  caller->value[rules->sp] = frame + 2 * word;
  return true;
}

bool exu_unwind_signal_step(const struct exu_unwinder *unwinder, const struct exu_unwind_state *state,
                            struct exu_unwind_state *caller) {
  enum { CONTEXT_MAX = 512 };
  const struct exu_arch *arch = unwinder->process->arch;
  const struct exu_arch_unwind *rules = unwinder->rules;
  const struct exu_code_memory memory = exu_unwind_memory(unwinder);
  struct exu_registers registers;
  struct exu_exception exception;
  uint8_t context[CONTEXT_MAX];
  if (!arch->decode_context || arch->context_size > sizeof context) return false;
  if (!rules->is_signal_return(&memory, state->pc) || !knows(state, rules->sp)) return false;
  if (!exu_unwind_read(unwinder, state->value[rules->sp] + rules->context_above_sp, context, arch->context_size))
    return false;
  arch->decode_context(context, &registers, &exception);
  *caller = (struct exu_unwind_state){.pc = registers.pc, .exact = true};
  exu_unwind_take_registers(unwinder, &registers, caller);
  return true;
}
