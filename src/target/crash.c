/* SPDX-License-Identifier: Apache-2.0 */
#include "target/crash.h"

#include <inttypes.h>
#include <stdio.h>

#include "target/crash_place.h"
#include "target/signal_names.h"

/* Sent by a process, which siginfo names, rather than raised by the kernel. */
static bool is_sent(int32_t code) {
  return code == EXU_SI_USER || code == EXU_SI_TKILL || code == EXU_SI_QUEUE || code == EXU_SI_MESGQ;
}

/*
 * Does si_addr hold an address? Only in the synchronous signals, and not when the kernel has none to give: a general
 * protection fault (SI_KERNEL), a shadow stack mismatch, an asynchronous tag check.
 */
static bool has_address(int32_t signal, int32_t code) {
  if (code <= 0 || code == EXU_SI_KERNEL) return false;
  switch (signal) {
  case EXU_SIGSEGV: return code != EXU_SEGV_MTEAERR && code != EXU_SEGV_CPERR;
  case EXU_SIGBUS:
  case EXU_SIGFPE:
  case EXU_SIGILL:
  case EXU_SIGTRAP: return true;
  default: return false;
  }
}

struct exu_crash *exu_crash_create(const struct exu_target *target, int32_t signal, const struct exu_siginfo *siginfo,
                                   struct exu_arena *arena) {
  struct exu_crash *crash = exu_arena_alloc(arena, sizeof *crash);
  if (!crash) return NULL;
  *crash = (struct exu_crash){.signal = signal,
                              .name = exu_signal_name(signal),
                              .sender_pid = -1,
                              .sender_uid = -1,
                              .tid = target->thread_count > 0 ? target->threads[0].tid : -1};
  if (!siginfo) return crash;
  crash->has_code = true;
  crash->code = siginfo->code;
  crash->code_name = exu_signal_code_name(signal, siginfo->code);
  if (is_sent(siginfo->code)) {
    crash->sender_pid = siginfo->pid;
    crash->sender_uid = siginfo->uid;
  } else if (has_address(signal, siginfo->code)) {
    crash->has_address = true;
    crash->address = siginfo->address;
  }
  return crash;
}

/* "SIGQUIT", "signal 40" */
struct signal_text {
  char text[24];
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

static struct exu_string sent(const struct exu_target *target, const struct exu_crash *crash, struct exu_arena *arena) {
  struct signal_text signal = text_of(crash);
  const char *description = exu_signal_description(crash->signal);
  if (crash->sender_pid == target->pid && target->pid > 0) {
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
static struct exu_string memory_fault(const struct exu_target *target, const struct exu_crash *crash,
                                      struct exu_arena *arena) {
  enum { NEAR = 65536 }; /* vm.mmap_min_addr: the kernel maps nothing below */
  const char *doing = "at";
  switch (exu_crash_access(target, crash)) {
  case EXU_ACCESS_READ: doing = "reading"; break;
  case EXU_ACCESS_WRITE: doing = "writing"; break;
  case EXU_ACCESS_EXECUTE: doing = "executing"; break;
  default: break;
  }
  struct exu_string place = crash->address_in;
  if (crash->address < NEAR && !exu_space_find(target->space, crash->address)) {
    static const char null[] = "NULL";
    static const char near_null[] = "near NULL";
    place = crash->address == 0 ? (struct exu_string){null, sizeof null - 1}
                                : (struct exu_string){near_null, sizeof near_null - 1};
  }
  /* "in /usr/lib/libc.so.6 (r-x)", but "(no mapping)" */
  bool mapped = place.size > 0 && place.data[place.size - 1] == ')';
  return exu_arena_printf(arena, "%s %s address 0x%" PRIx64 " %s%.*s%s%s", exu_signal_description(crash->signal), doing,
                          crash->address, mapped ? "in " : "(", (int)place.size, place.data ? place.data : "",
                          mapped ? "" : ")", thread_of(crash).text);
}

static struct exu_string summarize(const struct exu_target *target, const struct exu_crash *crash,
                                   struct exu_arena *arena) {
  const char *description = exu_signal_description(crash->signal);
  struct signal_text signal = text_of(crash);
  struct signal_text thread = thread_of(crash);
  if (crash->has_code && is_sent(crash->code)) return sent(target, crash, arena);

  const char *why = crash->has_code ? exu_signal_code_description(crash->signal, crash->code) : NULL;
  bool memory = crash->signal == EXU_SIGSEGV || crash->signal == EXU_SIGBUS;
  if (memory && crash->has_address) return memory_fault(target, crash, arena);
  if (memory && crash->has_code && crash->code == EXU_SI_KERNEL)
    return exu_arena_printf(arena, "%s at a non-canonical or otherwise unreportable address%s", description,
                            thread.text);
  if (crash->has_address && why)
    return exu_arena_printf(arena, "%s (%s) at 0x%" PRIx64 " in %.*s%s", description, why, crash->address,
                            (int)crash->address_in.size, crash->address_in.data ? crash->address_in.data : "",
                            thread.text);
  int64_t number = target->thread_count > 0 ? target->threads[0].registers.syscall : -1;
  if (crash->signal == EXU_SIGSYS && why && number >= 0)
    return exu_arena_printf(arena, "%s %" PRId64 " (%s)%s", description, number, why, thread.text);
  if (description) return exu_arena_printf(arena, "%s (%s)%s", description, why ? why : signal.text, thread.text);
  if (crash->has_code && crash->code == EXU_SI_KERNEL)
    return exu_arena_printf(arena, "Killed by %s sent by the kernel", signal.text);
  if (why) return exu_arena_printf(arena, "Killed by %s from %s", signal.text, why);
  return exu_arena_printf(arena, "Killed by %s", signal.text);
}

void exu_crash_describe(struct exu_target *target, struct exu_arena *arena) {
  struct exu_crash *crash = target->crash;
  if (!crash) return;
  if (crash->has_address) crash->address_in = exu_crash_place(target, crash->address, arena);
  crash->summary = summarize(target, crash, arena);
}
