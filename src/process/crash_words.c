/* SPDX-License-Identifier: Apache-2.0 */
/* The sentence. */
#include <inttypes.h>
#include <stdio.h>

#include "base/str.h"
#include "process/crash.h"
#include "process/crash_place.h"
#include "process/signal_names.h"

/* "SIGQUIT", "signal 40", "18,446,744,073,709,551,615" */
struct signal_text {
  char text[32];
};

static struct signal_text text_of(const struct exu_crash *crash) {
  struct signal_text text;
  if (crash->name) {
    snprintf(text.text, sizeof text.text, "%s", crash->name);
  } else {
    snprintf(text.text, sizeof text.text, "signal %" PRId32, crash->signal);
  }
  return text;
}

/* " in thread 1234" */
static struct signal_text thread_of(const struct exu_crash *crash) {
  struct signal_text text = {""};
  if (crash->tid > 0) snprintf(text.text, sizeof text.text, " in thread %" PRIi32, (int32_t)crash->tid);
  return text;
}

static struct exu_string sent(const struct exu_process *process, const struct exu_crash *crash,
                              struct exu_arena *arena) {
  struct signal_text signal = text_of(crash);
  const char *description = exu_signal_description(crash->signal);
  if (crash->sender_pid == process->pid && process->pid > 0) {
    if (crash->handler_tid > 0)
      return exu_arena_printf(arena, "%s%s%s raised by a signal handler in thread %" PRId64 "%s",
                              description ? description : "Killed by ", description ? " (" : "", signal.text,
                              crash->handler_tid, description ? ")" : "");
    if (description)
      return exu_arena_printf(arena, "%s (%s raised by the process itself)%s", description, signal.text,
                              thread_of(crash).text);
    return exu_arena_printf(arena, "Killed by %s raised by the process itself%s", signal.text, thread_of(crash).text);
  }
  /* The kernel puts 0 when the sender has no number in the namespace of the receiver. */
  if (crash->sender_pid == 0)
    return exu_arena_printf(arena, "Killed by %s sent from outside of its PID namespace (uid %" PRId64 ")", signal.text,
                            crash->sender_uid);
  return exu_arena_printf(arena, "Killed by %s sent by process %" PRId64 " (uid %" PRId64 ")", signal.text,
                          crash->sender_pid, crash->sender_uid);
}

/* A fault of memory: what was being done, to which address, and what is there. */
static struct exu_string memory_fault(const struct exu_process *process, const struct exu_crash *crash,
                                      struct exu_arena *arena) {
  enum { NEAR = 65536 }; /* vm.mmap_min_addr: the kernel maps nothing below */
  const char *doing = "at";
  switch (exu_crash_access(process, crash)) {
  case EXU_ACCESS_READ: doing = "reading"; break;
  case EXU_ACCESS_WRITE: doing = "writing"; break;
  case EXU_ACCESS_EXECUTE: doing = "executing"; break;
  default: break;
  }
  struct exu_string place = crash->address_in;
  if (crash->address < NEAR && !exu_space_find(process->space, crash->address)) {
    static const char null[] = "NULL";
    static const char near_null[] = "near NULL";
    place = crash->address == 0 ? (struct exu_string)EXU_STRING(null) : (struct exu_string)EXU_STRING(near_null);
  }
  /* "in /usr/lib/libc.so.6 (r-x)", but "(no mapping)" */
  bool mapped = place.size > 0 && place.data[place.size - 1] == ')';
  return exu_arena_printf(arena, "%s %s address 0x%" PRIx64 " %s%.*s%s%s", exu_signal_description(crash->signal), doing,
                          crash->address, mapped ? "in " : "(", (int)place.size, place.data ? place.data : "",
                          mapped ? "" : ")", thread_of(crash).text);
}

static struct exu_string summarize(const struct exu_process *process, const struct exu_crash *crash,
                                   struct exu_arena *arena) {
  const char *description = exu_signal_description(crash->signal);
  struct signal_text signal = text_of(crash);
  struct signal_text thread = thread_of(crash);
  if (crash->has_code && exu_crash_is_sent(crash->code)) return sent(process, crash, arena);

  const char *why = crash->has_code ? exu_signal_code_description(crash->signal, crash->code) : NULL;
  bool memory = crash->signal == EXU_SIGSEGV || crash->signal == EXU_SIGBUS;
  if (memory && crash->has_address) return memory_fault(process, crash, arena);
  if (memory && crash->has_code && crash->code == EXU_SI_KERNEL && exu_crash_stack_is_full(process))
    return exu_arena_printf(arena, "%s at the end of the stack of thread %lld: probably a stack overflow", description,
                            (long long)process->scene.thread->tid);
  if (memory && crash->has_code && crash->code == EXU_SI_KERNEL)
    return exu_arena_printf(arena, "%s at a non-canonical or otherwise unreportable address%s", description,
                            thread.text);
  if (crash->has_address && why)
    return exu_arena_printf(arena, "%s (%s) at 0x%" PRIx64 " in %.*s%s", description, why, crash->address,
                            (int)crash->address_in.size, crash->address_in.data ? crash->address_in.data : "",
                            thread.text);
  int64_t number = process->scene.thread ? process->scene.registers.syscall : -1;
  if (crash->signal == EXU_SIGSYS && why && number >= 0)
    return exu_arena_printf(arena, "%s %" PRId64 " (%s)%s", description, number, why, thread.text);
  if (description) return exu_arena_printf(arena, "%s (%s)%s", description, why ? why : signal.text, thread.text);
  if (crash->has_code && crash->code == EXU_SI_KERNEL)
    return exu_arena_printf(arena, "Killed by %s sent by the kernel", signal.text);
  if (why) return exu_arena_printf(arena, "Killed by %s from %s", signal.text, why);
  return exu_arena_printf(arena, "Killed by %s", signal.text);
}

/* What came of it. */
static struct exu_string add_end(struct exu_string summary, const struct exu_process *process,
                                 struct exu_arena *arena) {
  const struct exu_crash *crash = process->crash;
  const char *name = crash->raised_name ? crash->raised_name : "another signal";
  if (crash->raised_signal == 0 || !summary.data) return summary;
  if (crash->raised_signal == crash->signal)
    return exu_arena_printf(arena, "%s, raised again by %s", summary.data,
                            process->scene.by_handler ? "a signal handler" : "the process itself");
  if (process->scene.by_handler)
    return exu_arena_printf(arena, "%s, for which a signal handler raised %s", summary.data, name);
  return exu_arena_printf(arena, "%s, and then the process raised %s itself", summary.data, name);
}

/* "65,536" */
static struct signal_text grouped(uint64_t number) {
  struct signal_text digits, text;
  const int size = snprintf(digits.text, sizeof digits.text, "%" PRIu64, number);
  size_t used = 0;
  for (int i = 0; i < size && used + 2 < sizeof text.text; i++) {
    if (i > 0 && (size - i) % 3 == 0) text.text[used++] = ',';
    text.text[used++] = digits.text[i];
  }
  text.text[used] = '\0';
  return text;
}

/* How much of a file was mapped, and how much of it there is. */
static struct exu_string add_file(struct exu_string summary, const struct exu_crash *crash, struct exu_arena *arena) {
  const struct exu_crash_file *file = &crash->file;
  if (!file->path.data || !summary.data) return summary;
  summary =
      exu_arena_printf(arena, "%s: byte %s of the file, of which %s bytes from offset %s were mapped", summary.data,
                       grouped(file->position).text, grouped(file->mapped_bytes).text, grouped(file->mapped_from).text);
  if (file->length < 0 || !summary.data) return summary;
  return exu_arena_printf(arena, "%s; a file of that name is %s bytes long here%s", summary.data,
                          grouped((uint64_t)file->length).text,
                          file->changed == EXU_NO    ? ", unchanged since this core file was written"
                          : file->changed == EXU_YES ? ", changed after this core file was written"
                                                     : " now");
}

static struct exu_string add_message(struct exu_string summary, const struct exu_crash *crash,
                                     struct exu_arena *arena) {
  if (!crash->message.data || !summary.data) return summary;
  return exu_arena_printf(arena, "%s; the last words of the C library: %s", summary.data, crash->message.data);
}

static void make_summary(struct exu_process *process, struct exu_arena *arena) {
  struct exu_crash *crash = process->crash;
  struct exu_string summary = add_end(summarize(process, crash, arena), process, arena);
  crash->summary = add_message(add_file(summary, crash, arena), crash, arena);
}

void exu_crash_said(struct exu_process *process, struct exu_string message, struct exu_arena *arena) {
  process->crash->message = message;
  make_summary(process, arena);
}

void exu_crash_measured(struct exu_process *process, int64_t length, enum exu_tristate changed,
                        struct exu_arena *arena) {
  process->crash->file.length = length;
  process->crash->file.changed = changed;
  make_summary(process, arena);
}

/* A page that cannot be had: behind the end of its file, or lost by the device. Not memory that went bad. */
static bool lacks_page(const struct exu_crash *crash) {
  return crash->signal == EXU_SIGBUS && crash->has_address && (!crash->has_code || crash->code == EXU_BUS_ADRERR);
}

void exu_crash_word(struct exu_process *process, struct exu_arena *arena) {
  struct exu_crash *crash = process->crash;
  crash->address_in = (struct exu_string){NULL, 0};
  if (crash->has_address) crash->address_in = exu_crash_place(process, crash->address, arena);
  crash->file = (struct exu_crash_file){.length = -1, .changed = EXU_UNKNOWN};
  if (lacks_page(crash)) crash->file = exu_crash_file(process, crash->address);
  make_summary(process, arena);
}
