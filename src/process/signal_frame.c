/* SPDX-License-Identifier: Apache-2.0 */
#include "process/signal_frame.h"

enum {
  CONTEXT_MAX = 512,
  WORDS_AT_ONCE = 2048,
  STACK_MAX = 64 << 20, /* bytes of a stack that are looked at */
};

/* uc_stack of struct ucontext (asm-generic/ucontext.h): behind two words, ss_sp, ss_flags and padding, ss_size. */
static void decode_stack(struct exu_cursor context, struct exu_signal_frame *frame) {
  exu_cursor_skip(&context, 16);
  frame->stack = exu_cursor_u64(&context);
  exu_cursor_skip(&context, 8);
  frame->stack_size = exu_cursor_u64(&context);
}

bool exu_signal_frame_read(const struct exu_process *process, const struct exu_os_thread *thread, uint64_t context,
                           struct exu_signal_frame *frame) {
  const struct exu_arch *arch = process->arch;
  uint8_t bytes[CONTEXT_MAX], info[EXU_SIGINFO_SIZE];
  if (!arch->decode_context || arch->context_size > sizeof bytes) return false;
  if (exu_space_read(process->space, context, bytes, arch->context_size) != EXU_READABLE) return false;
  if (exu_space_read(process->space, context + arch->context_size, info, sizeof info) != EXU_READABLE) return false;
  if (arch->is_context && !arch->is_context(bytes)) return false;
  *frame = (struct exu_signal_frame){.siginfo.present = false};
  arch->decode_context(bytes, &frame->registers, &frame->exception);
  decode_stack(exu_cursor(bytes, arch->context_size, arch->big_endian), frame);
  frame->registers.thread_pointer = thread->registers.thread_pointer;
  frame->registers.has_thread_pointer = thread->registers.has_thread_pointer;
  return exu_siginfo_decode(arch, exu_cursor(info, sizeof info, arch->big_endian), &frame->siginfo);
}

static bool may_be_context(const struct exu_process *process, uint64_t word_at) {
  const struct exu_arch *arch = process->arch;
  uint8_t bytes[CONTEXT_MAX];
  if (!arch->is_context || arch->context_size > sizeof bytes || word_at < arch->context_word) return true;
  if (exu_space_read(process->space, word_at - arch->context_word, bytes, arch->context_size) != EXU_READABLE)
    return false;
  return arch->is_context(bytes);
}

bool exu_signal_frame_absent(struct exu_process *process, const struct exu_os_thread *thread) {
  const struct exu_registers *registers = &thread->registers;
  const struct exu_arch *arch = process->arch;
  const uint64_t word = arch->word_size;
  const struct exu_region *stack = registers->valid ? exu_space_find(process->space, registers->sp) : NULL;
  if (!stack || !arch->context_words[0] || registers->sp % word != 0) return false;
  /* A thread's own block lies at the top of its stack; what follows in the same mapping is something else. */
  uint64_t end = stack->end;
  if (registers->has_thread_pointer && registers->thread_pointer > registers->sp && registers->thread_pointer < end)
    end = registers->thread_pointer;
  if (end - registers->sp > STACK_MAX || end - registers->sp > process->scene.stack_bytes_left) {
    process->scene.given_up = true;
    return false;
  }
  uint64_t words[WORDS_AT_ONCE];
  for (uint64_t at = registers->sp; at < end;) {
    size_t count = (end - at) / word < WORDS_AT_ONCE ? (size_t)((end - at) / word) : WORDS_AT_ONCE;
    if (count == 0) break;
    if (exu_process_is_over(process)) return false;
    process->scene.stack_bytes_left -= word * count;
    if (exu_process_read_words(process, at, words, count) != count) return false;
    for (size_t i = 0; i < count; i++)
      if (exu_arch_is_context_word(arch, words[i]) && may_be_context(process, at + word * i)) return false;
    at += word * count;
  }
  return true;
}
