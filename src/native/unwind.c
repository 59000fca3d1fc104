/* SPDX-License-Identifier: Apache-2.0 */
#include "native/unwind.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "native/unwind_private.h"

/*
 * Where a signal handler has a stack of its own, the frames before and after it do not ascend. That many handlers do
 * not interrupt each other; a damaged stack could pretend it for ever.
 */
enum { SIGNALS_MAX = 64 };

/* ---- Threads and memory, for libdwfl ----------------------------------------------------------------------------- */

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread_arg) {
  struct exu_unwinder *unwinder = arg;
  (void)dwfl;
  if (*thread_arg) return 0;
  *thread_arg = unwinder;
  return 1;
}

/* libdwfl wants positive thread ids; one at a time is unwound, so they all are 1. */
static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread_arg) {
  (void)dwfl, (void)tid;
  *thread_arg = arg;
  return true;
}

/* What was copied of a live process after it went on may belong to other frames by then. */
static inline bool read_stack(const struct exu_unwinder *unwinder, uint64_t address, void *bytes, size_t size) {
  return exu_space_read(unwinder->process->space, address, bytes, size) == EXU_READABLE &&
         exu_process_is_consistent(unwinder->process, address) &&
         exu_process_is_consistent(unwinder->process, address + size - 1);
}

bool exu_unwind_read(const struct exu_unwinder *unwinder, uint64_t address, void *bytes, size_t size) {
  return read_stack(unwinder, address, bytes, size);
}

bool exu_unwind_read_words(const struct exu_unwinder *unwinder, uint64_t address, uint64_t *words, size_t count) {
  const struct exu_arch *arch = unwinder->process->arch;
  if (!read_stack(unwinder, address, words, count * arch->word_size)) return false;
  exu_arch_widen(arch, words, count);
  return true;
}

static bool read_word(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *word, void *arg) {
  struct exu_unwinder *unwinder = arg;
  (void)dwfl;
  if (exu_unwind_read_words(unwinder, address, word, 1)) return true;
  unwinder->unreadable = true;
  return false;
}

static bool set_registers(Dwfl_Thread *thread, void *arg) {
  struct exu_unwinder *unwinder = arg;
  const struct exu_unwind_state *state = &unwinder->start;
  for (unsigned i = 0; i < unwinder->rules->register_count; i++) {
    const Dwarf_Word value = state->value[i];
    if ((state->valid >> i & 1) && !dwfl_thread_state_registers(thread, (int)i, 1, &value)) return false;
  }
  /* The unwinding information of a procedure linkage table asks how far into an entry the pc is. */
  const Dwarf_Word pc = state->pc;
  if (!dwfl_thread_state_registers(thread, unwinder->rules->pc, 1, &pc)) return false;
  /* libdwfl takes the first frame's pc as it is: a return address belongs to the call before it. */
  dwfl_thread_state_register_pc(thread, state->pc - !state->exact);
  return true;
}

static const Dwfl_Thread_Callbacks thread_callbacks = {.next_thread = next_thread,
                                                       .get_thread = get_thread,
                                                       .memory_read = read_word,
                                                       .set_initial_registers = set_registers};

/* ---- Frames ------------------------------------------------------------------------------------------------------ */

void exu_native_stack_deinit(struct exu_native_stack *stack) {
  free(stack->frames.items);
  if (stack->arena) exu_arena_release(stack->arena, stack->frames.capacity * sizeof *stack->frames.items);
  *stack = (struct exu_native_stack){.end = EXU_UNWIND_START};
}

static struct exu_native_frame *push(struct exu_unwinder *unwinder) {
  struct exu_native_stack *stack = unwinder->stack;
  if (stack->frames.count == stack->frames.capacity) {
    size_t capacity = stack->frames.capacity ? stack->frames.capacity * 2 : 256;
    const size_t more = (capacity - stack->frames.capacity) * sizeof *stack->frames.items;
    if (!exu_arena_reserve(unwinder->arena, more)) return NULL;
    struct exu_native_frame *items = reallocarray(stack->frames.items, capacity, sizeof *items);
    if (!items) {
      exu_arena_release(unwinder->arena, more);
      return NULL;
    }
    stack->arena = unwinder->arena;
    stack->frames.items = items;
    stack->frames.capacity = capacity;
  }
  return &stack->frames.items[stack->frames.count++];
}

/* What a callee must keep is what is known of its callers. */
static void note_kept(const struct exu_unwinder *unwinder, Dwfl_Frame *state, struct exu_native_frame *frame) {
  size_t count = 0;
  for (uint32_t left = unwinder->rules->callee_saved; left && count < 2; left &= left - 1) {
    Dwarf_Word value;
    if (dwfl_frame_reg(state, (unsigned)__builtin_ctz(left), &value) != 0 || !exu_map_find(unwinder->watched, value))
      continue;
    if (count == 0 || frame->kept[0] != value) frame->kept[count++] = value;
  }
}

static int end(struct exu_unwinder *unwinder, enum exu_unwind_end why) {
  unwinder->stack->end = why;
  unwinder->ended = true;
  return DWARF_CB_ABORT;
}

/* The registers of a frame that libdwfl shall not unwind: it would fall back on an unchecked frame pointer. */
static int block(struct exu_unwinder *unwinder, Dwfl_Frame *state, uint64_t pc, bool exact) {
  struct exu_unwind_state *at = &unwinder->at;
  *at = (struct exu_unwind_state){.pc = pc, .exact = exact};
  for (unsigned i = 0; i < unwinder->rules->register_count; i++) {
    Dwarf_Word value;
    if (dwfl_frame_reg(state, i, &value) != 0) continue;
    at->value[i] = value;
    at->valid |= 1U << i;
  }
  unwinder->blocked = true;
  return DWARF_CB_ABORT;
}

/* Close the callee now that its caller is known. False: the caller cannot be where it seems to be. */
static bool close_callee(struct exu_unwinder *unwinder, struct exu_native_frame *callee, uint64_t sp) {
  if (unwinder->gap) {
    callee->cfa = callee->sp; /* how much memory it had is not known */
    return sp > callee->sp;
  }
  if (!callee->signal) {
    callee->cfa = sp;
    return sp > callee->sp; /* the stack grows down */
  }
  bool same = sp > callee->sp && exu_unwind_same_stack(unwinder, callee->sp, sp);
  callee->cfa = same ? sp : callee->sp + unwinder->process->arch->context_size;
  return same || ++unwinder->stack->signals <= SIGNALS_MAX;
}

/* Do all frames from the innermost on lie in one module? */
static bool is_one_module(struct exu_unwinder *unwinder) {
  const struct exu_native_stack *stack = unwinder->stack;
  const struct exu_binary *module = exu_modules_find(unwinder->modules, stack->frames.items[0].pc);
  if (unwinder->alike == 0) unwinder->alike = 1;
  for (; module && unwinder->alike < stack->frames.count; unwinder->alike++)
    if (exu_modules_find(unwinder->modules, stack->frames.items[unwinder->alike].pc - 1) != module) return false;
  return module != NULL;
}

/*
 * In g_initialstub, at no call that tells. In the new greenlet the thread state has lost the frames of the one before
 * when g_switchstack returns; in the old one, which called switch(), some of them are further out. Without markers that
 * is known where nothing that could run Python has been called. True: the stack goes on.
 */
static bool is_still_old(struct exu_unwinder *unwinder, uint64_t sp, enum exu_unwind_end *why) {
  const struct exu_unwind_python *python = &unwinder->python;
  *why = EXU_UNWIND_UNCERTAIN;
  if (!python->known) return false;
  if (python->frames == 0 || (python->outermost != 0 && python->outermost < sp)) *why = EXU_UNWIND_GREENLET;
  if (python->frames == 0) return false;
  return python->outermost != 0 ? python->outermost >= sp : is_one_module(unwinder);
}

/* Is it a frame from which the stack does not go on? */
static bool is_boundary(struct exu_unwinder *unwinder, enum exu_greenlet_place place, uint64_t sp, bool exact,
                        enum exu_unwind_end *why) {
  if (place == EXU_GREENLET_NONE) return false;
  *why = place == EXU_GREENLET_SWITCH ? EXU_UNWIND_SWITCH : EXU_UNWIND_GREENLET;
  if (place == EXU_GREENLET_SWITCH || (place == EXU_GREENLET_FIRST && !exact)) return true;
  return !is_still_old(unwinder, sp, why);
}

static int take_frame(Dwfl_Frame *state, void *arg) {
  struct exu_unwinder *unwinder = arg;
  struct exu_native_stack *stack = unwinder->stack;
  const bool first = unwinder->first;
  struct exu_native_frame *callee = stack->frames.count ? &stack->frames.items[stack->frames.count - 1] : NULL;
  Dwarf_Addr pc;
  Dwarf_Word sp = 0;
  struct exu_code code;
  if (!dwfl_frame_pc(state, &pc, NULL)) return DWARF_CB_ABORT;
  if (dwfl_frame_reg(state, unwinder->rules->sp, &sp) != 0) sp = 0;
  if (first) pc = unwinder->start.pc;
  const bool exact = first || !callee ? unwinder->start.exact : callee->signal;
  unwinder->first = false;
  if (stack->frames.count >= unwinder->limit) return end(unwinder, EXU_UNWIND_BUDGET);
  if (exu_process_is_over(unwinder->process)) return end(unwinder, EXU_UNWIND_OVER);
  if (!exu_unwind_code(unwinder, pc - !exact, &code)) {
    unwinder->no_memory = true;
    return DWARF_CB_ABORT;
  }
  /* Only a pc that was interrupted can be anywhere; a return address that is not in code is a damaged stack. */
  if (!exact && !code.executable) return end(unwinder, EXU_UNWIND_STACK);
  /* A signal handler and a thread's first function return to what has not called them. */
  if (!exact && code.cfi && code.no_call && !code.signal && !code.start) return end(unwinder, EXU_UNWIND_STACK);
  if (callee && !close_callee(unwinder, callee, sp)) {
    callee->cfa = 0;
    return end(unwinder, EXU_UNWIND_STACK);
  }
  unwinder->gap = false;
  struct exu_native_frame *frame = push(unwinder);
  if (!frame) {
    unwinder->no_memory = true;
    return DWARF_CB_ABORT;
  }
  *frame = (struct exu_native_frame){.pc = pc,
                                     .sp = sp,
                                     .exact = exact || code.signal,
                                     .signal = code.signal,
                                     .by_frame_pointer = first && unwinder->start.by_frame_pointer};
  if (unwinder->watched) note_kept(unwinder, state, frame);
  enum exu_unwind_end why;
  if (is_boundary(unwinder, code.greenlet, sp, exact, &why)) return end(unwinder, why);
  return code.cfi ? DWARF_CB_OK : block(unwinder, state, pc, exact);
}

/* ---- Unwinding --------------------------------------------------------------------------------------------------- */

/* libdwfl takes a pc of 0 for the thread's start; where a signal came in it is a call through a bad pointer. */
static bool step_over_signal(struct exu_unwinder *unwinder) {
  struct exu_native_stack *stack = unwinder->stack;
  struct exu_unwind_state caller;
  if (stack->frames.count == 0 || stack->frames.count >= unwinder->limit) return false;
  const struct exu_native_frame *last = &stack->frames.items[stack->frames.count - 1];
  struct exu_unwind_state at = {.pc = last->pc, .valid = 1U << unwinder->rules->sp};
  at.value[unwinder->rules->sp] = last->sp;
  if (!last->signal || !exu_unwind_signal_step(unwinder, &at, &caller) || caller.pc != 0) return false;
  unwinder->start = caller;
  return true;
}

/* libdwfl stopped by itself: was that the thread's start? */
static void judge_end(struct exu_unwinder *unwinder, bool failed) {
  struct exu_native_stack *stack = unwinder->stack;
  struct exu_code code = {.start = false};
  if (stack->frames.count > 0) {
    const struct exu_native_frame *last = &stack->frames.items[stack->frames.count - 1];
    if (!exu_unwind_code(unwinder, last->pc - (!last->exact || last->signal), &code)) unwinder->no_memory = true;
  }
  if (!failed && code.start)
    end(unwinder, EXU_UNWIND_START);
  else if (!failed || unwinder->unreadable)
    end(unwinder, EXU_UNWIND_STACK); /* a return address of 0, or none that can be read */
  else
    end(unwinder, EXU_UNWIND_NO_CFI);
}

/*
 * Go on from a frame without unwinding information, if there is a way. False: there is none, and stack->end says why.
 */
static bool step(struct exu_unwinder *unwinder) {
  const struct exu_unwind_state at = unwinder->at;
  struct exu_native_stack *stack = unwinder->stack;
  struct exu_unwind_state caller;
  struct exu_code code;
  bool in_module = exu_modules_find(unwinder->modules, at.pc - !at.exact) != NULL;
  if (!exu_unwind_code(unwinder, at.pc - !at.exact, &code)) return false;
  if (code.executable && !in_module && exu_unwind_find_jit(unwinder, at.pc - !at.exact)) {
    unwinder->start = at; /* the same frame again, which is in a module now */
    unwinder->start.by_frame_pointer = stack->frames.items[stack->frames.count - 1].by_frame_pointer;
    stack->frames.count--;
    return true;
  }
  struct exu_native_frame *frame = &stack->frames.items[stack->frames.count - 1];
  if (!exu_unwind_bad_call_step(unwinder, &at, &caller) &&
      !(code.executable && exu_unwind_system_call_step(unwinder, &at, &caller))) {
    if (code.executable && exu_unwind_signal_step(unwinder, &at, &caller)) {
      frame->signal = frame->exact = true;
    } else if (code.executable && exu_unwind_frame_pointer_step(unwinder, &at, &caller)) {
      stack->frame_pointer_steps++;
    } else if (!code.executable || !exu_unwind_return_path_step(unwinder, &at, &caller)) {
      end(unwinder, in_module ? EXU_UNWIND_NO_CFI : EXU_UNWIND_NO_CODE);
      return false;
    }
  }
  unwinder->start = caller;
  return true;
}

bool exu_unwind_from_start(struct exu_unwinder *unwinder) {
  unwinder->no_memory = unwinder->ended = false;
  do {
    unwinder->blocked = unwinder->unreadable = false;
    unwinder->first = true;
    int result = dwfl_getthread_frames(unwinder->dwfl, 1, take_frame, unwinder);
    if (unwinder->no_memory) return false;
    if (!unwinder->ended && !unwinder->blocked) {
      if (result == 0 && step_over_signal(unwinder)) continue;
      judge_end(unwinder, result != 0);
    }
  } while (!unwinder->ended && (!unwinder->blocked || step(unwinder)));
  return !unwinder->no_memory;
}

/*
 * In a system call pc is behind the instruction, where the unwinding information may have ended: a thread's last call
 * does not return.
 */
static bool is_behind_syscall(struct exu_unwinder *unwinder, uint64_t pc) {
  struct exu_code at, before;
  if (pc == 0 || !exu_unwind_code(unwinder, pc, &at) || at.cfi) return false;
  if (!exu_unwind_code(unwinder, pc - 1, &before) || !before.cfi) return false;
  return exu_unwind_after_system_call(unwinder, pc);
}

bool exu_unwind(struct exu_unwinder *unwinder, const struct exu_os_thread *thread, uint64_t limit,
                struct exu_native_stack *stack) {
  const struct exu_registers *registers = &thread->registers;
  unwinder->stack = stack;
  unwinder->limit = limit && limit < EXU_NATIVE_FRAMES_MAX ? limit : EXU_NATIVE_FRAMES_MAX;
  unwinder->gap = false;
  unwinder->start =
      (struct exu_unwind_state){.pc = registers->pc, .exact = !is_behind_syscall(unwinder, registers->pc)};
  exu_unwind_take_registers(unwinder, registers, &unwinder->start);
  stack->frames.count = unwinder->alike = 0;
  stack->signals = stack->frame_pointer_steps = 0;
  if (!exu_unwind_from_start(unwinder)) return false;
  /* A clone that returned 0: the thread was born there, and has not run yet. */
  const enum exu_system_call_id call = exu_arch_call(unwinder->process->arch, registers->syscall);
  bool newborn = (call == EXU_SYS_CLONE || call == EXU_SYS_CLONE3) &&
                 (registers->valid >> unwinder->process->arch->call_result & 1) &&
                 registers->value[unwinder->process->arch->call_result] == 0;
  if (newborn && stack->frames.count == 1 && stack->end == EXU_UNWIND_NO_CFI) stack->end = EXU_UNWIND_START;
  return true;
}

/* ---- Making one -------------------------------------------------------------------------------------------------- */

/* An ELF header that has nothing but its machine. */
#define DESCRIBE(type, class, arch)                                                                                    \
  (type) {                                                                                                             \
    .e_ident =                                                                                                         \
        {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, class, (arch)->big_endian ? ELFDATA2MSB : ELFDATA2LSB, EV_CURRENT},       \
    .e_type = ET_CORE, .e_machine = (arch)->machine, .e_version = EV_CURRENT, .e_ehsize = sizeof(type)                 \
  }

static void describe_machine(const struct exu_arch *arch, uint8_t *bytes) {
  const Elf64_Ehdr of_64_bits = DESCRIBE(Elf64_Ehdr, ELFCLASS64, arch);
  const Elf32_Ehdr of_32_bits = DESCRIBE(Elf32_Ehdr, ELFCLASS32, arch);
  if (arch->word_size == sizeof(uint64_t))
    memcpy(bytes, &of_64_bits, sizeof of_64_bits);
  else
    memcpy(bytes, &of_32_bits, sizeof of_32_bits);
}

static bool attach(struct exu_unwinder *unwinder) {
  _Static_assert(sizeof(Elf64_Ehdr) <= sizeof unwinder->machine_bytes, "an ELF header fits");
  describe_machine(unwinder->process->arch, unwinder->machine_bytes);
  if (elf_version(EV_CURRENT) == EV_NONE) return false;
  unwinder->machine = elf_memory((char *)unwinder->machine_bytes, sizeof unwinder->machine_bytes);
  return unwinder->machine && dwfl_attach_state(unwinder->dwfl, unwinder->machine, 1, &thread_callbacks, unwinder);
}

struct exu_unwinder *exu_unwinder_create(const struct exu_process *process, struct exu_modules *modules,
                                         struct exu_arena *arena) {
  struct exu_unwinder *unwinder = process->arch->unwind ? calloc(1, sizeof *unwinder) : NULL;
  if (!unwinder) return NULL;
  unwinder->rules = process->arch->unwind;
  unwinder->process = process;
  unwinder->modules = modules;
  unwinder->arena = arena;
  unwinder->search = exu_unwind_search_all;
  unwinder->jit = (struct exu_jit_images){.process = process, .modules = modules, .arena = arena};
  if (exu_unwind_report_modules(unwinder) && attach(unwinder)) return unwinder;
  exu_unwinder_destroy(unwinder);
  return NULL;
}

void exu_unwinder_destroy(struct exu_unwinder *unwinder) {
  if (!unwinder) return;
  if (unwinder->dwfl) dwfl_end(unwinder->dwfl);
  if (unwinder->machine) elf_end(unwinder->machine);
  exu_map_deinit(&unwinder->codes);
  exu_map_deinit(&unwinder->framed);
  exu_map_deinit(&unwinder->no_return);
  exu_jit_images_deinit(&unwinder->jit);
  free(unwinder);
}

struct exu_jit_images *exu_unwinder_jit(struct exu_unwinder *unwinder) {
  return &unwinder->jit;
}

void exu_unwinder_watch(struct exu_unwinder *unwinder, const struct exu_map *pointers) { unwinder->watched = pointers; }

void exu_unwinder_python(struct exu_unwinder *unwinder, const struct exu_unwind_python *python) {
  unwinder->python = *python;
}
