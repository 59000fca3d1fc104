/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "render/json.h"

static const char *kind_word(enum exu_wait_kind kind) {
  switch (kind) {
  case EXU_WAIT_UNKNOWN: return "unknown";
  case EXU_WAIT_RUNNING: return "running";
  case EXU_WAIT_SYSCALL: return "system-call";
  case EXU_WAIT_CHILD: return "child";
  case EXU_WAIT_STOPPED: return "stopped";
  case EXU_WAIT_GIL: return "gil";
  case EXU_WAIT_LOCK: return "lock";
  case EXU_WAIT_RLOCK: return "rlock";
  case EXU_WAIT_CONDITION: return "condition";
  case EXU_WAIT_SEMAPHORE: return "semaphore";
  case EXU_WAIT_EVENT: return "event";
  case EXU_WAIT_BARRIER: return "barrier";
  case EXU_WAIT_QUEUE: return "queue";
  case EXU_WAIT_FUTURE: return "future";
  case EXU_WAIT_EVENT_LOOP: return "event-loop";
  case EXU_WAIT_JOIN: return "join";
  case EXU_WAIT_IMPORT_LOCK: return "import-lock";
  case EXU_WAIT_MUTEX: return "mutex";
  case EXU_WAIT_RWLOCK: return "read-write-lock";
  case EXU_WAIT_COND: return "condition-variable";
  case EXU_WAIT_ONCE: return "once";
  case EXU_WAIT_PYMUTEX: return "py-mutex";
  case EXU_WAIT_FUTEX: return "futex";
  }
  return "unknown";
}

static void put_object(struct exu_output *out, const struct exu_wait *wait) {
  if (wait->address == 0 && !wait->type.data) {
    exu_out(out, "null");
    return;
  }
  exu_out(out, "{\"address\": ");
  exu_json_address(out, wait->address != 0, wait->address);
  exu_out(out, ", \"type\": ");
  exu_json_string(out, wait->type);
  exu_out_char(out, '}');
}

static void put_owner(struct exu_output *out, const struct exu_report *report, const struct exu_wait *wait) {
  bool shown = wait->owner >= 0 && (uint64_t)wait->owner < report->thread_count;
  if (!shown && wait->owner_tid < 0) {
    exu_out(out, "null");
    return;
  }
  exu_out(out, "{\"tid\": ");
  exu_json_id(out, shown ? report->threads[wait->owner].tid : wait->owner_tid);
  exu_out(out, ", \"thread\": ");
  exu_json_string(out, shown ? report->threads[wait->owner].name : (struct exu_string){NULL, 0});
  exu_out(out, ", \"evidence\": ");
  exu_json_string(out, wait->owner_evidence);
  exu_out_char(out, '}');
}

/* `by` of a taker, in words of the schema. */
static const char *taken_how(const char *by) {
  if (strcmp(by, "`with`") == 0) return "with";
  return strcmp(by, "ExitStack") == 0 ? "exit-stack" : "acquire";
}

static void put_takers(struct exu_output *out, const struct exu_report *report, const struct exu_wait *wait) {
  bool first = true;
  exu_out_char(out, '[');
  for (size_t i = 0; i < wait->taker_count; i++) {
    const struct exu_taker *taker = &wait->takers[i];
    if (taker->thread >= report->thread_count) continue;
    if (!first) exu_out(out, ", ");
    first = false;
    exu_out(out, "{\"tid\": ");
    exu_json_id(out, report->threads[taker->thread].tid);
    exu_out(out, ", \"thread\": ");
    exu_json_string(out, report->threads[taker->thread].name);
    exu_out(out, ", \"by\": ");
    exu_json_word(out, taken_how(taker->by));
    exu_out(out, ", \"evidence\": ");
    exu_json_string(out, taker->evidence);
    exu_out(out, ", \"kept\": ");
    exu_json_bool(out, taker->kept);
    exu_out(out, ", \"by_name\": ");
    exu_json_bool(out, taker->by_name);
    exu_out_char(out, '}');
  }
  exu_out_char(out, ']');
}

static void put_system_call(struct exu_output *out, const struct exu_wait *wait) {
  if (wait->system_call < 0) {
    exu_out(out, "null");
    return;
  }
  exu_out(out, "{\"number\": ");
  exu_json_id(out, wait->system_call);
  exu_out(out, ", \"name\": ");
  exu_json_word(out, wait->system_call_name);
  exu_out(out, ", \"fd\": ");
  exu_json_id(out, wait->fd);
  exu_out(out, ", \"file\": ");
  exu_json_string(out, wait->file);
  exu_out(out, ", \"child\": ");
  exu_json_id(out, wait->child);
  exu_out_char(out, '}');
}

void exu_json_wait(struct exu_output *out, const struct exu_report *report, const struct exu_wait *wait) {
  if (!wait) {
    exu_out(out, "null");
    return;
  }
  exu_out(out, "{\"kind\": ");
  exu_json_word(out, kind_word(wait->kind));
  exu_out(out, ", \"summary\": ");
  exu_json_string(out, wait->summary);
  exu_out(out, ", \"evidence\": ");
  exu_json_string(out, wait->evidence);
  exu_out(out, ", \"object\": ");
  put_object(out, wait);
  exu_out(out, ", \"owner\": ");
  put_owner(out, report, wait);
  exu_out(out, ", \"taken_by\": ");
  put_takers(out, report, wait);
  exu_out(out, ", \"system_call\": ");
  put_system_call(out, wait);
  exu_out_char(out, '}');
}

static void put_threads(struct exu_output *out, const struct exu_report *report, const size_t *threads, size_t count) {
  exu_out(out, ", \"threads\": [");
  for (size_t i = 0; i < count; i++) {
    if (i > 0) exu_out(out, ", ");
    exu_json_id(out, report->threads[threads[i]].tid);
  }
  exu_out(out, "]}");
}

void exu_json_hang(struct exu_output *out, const struct exu_report *report, const struct exu_hang *hang) {
  static const char *const words[] = {
#define X(name, word) [EXU_HANG_##name] = (word),
      EXU_HANG_KINDS(X)
#undef X
  };
  exu_out(out, "{\"kind\": ");
  exu_json_word(out, words[hang->kind]);
  exu_out(out, ", \"sentence\": ");
  exu_json_string(out, hang->sentence);
  exu_out(out, ", \"evidence\": ");
  exu_json_string(out, hang->evidence);
  exu_out(out, ", \"certain\": ");
  exu_json_bool(out, hang->certain);
  put_threads(out, report, hang->threads, hang->thread_count);
}

void exu_json_deadlock(struct exu_output *out, const struct exu_report *report, const struct exu_deadlock *deadlock) {
  exu_out(out, "{\"sentence\": ");
  exu_json_string(out, deadlock->sentence);
  exu_out(out, ", \"certain\": ");
  exu_json_bool(out, deadlock->certain);
  exu_out(out, ", \"timed\": ");
  exu_json_bool(out, deadlock->timed);
  put_threads(out, report, deadlock->threads, deadlock->thread_count);
}
