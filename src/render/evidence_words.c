/* SPDX-License-Identifier: Apache-2.0 */
/* What was seen that tells of a wait, of an owner, of a hang. */
#include "base/str.h"
#include "render/escape.h"
#include "render/words.h"

void exu_words_place(struct exu_output *out, const struct exu_place *place) {
  exu_out_escaped(out, place->function, 0, EXU_NAME_SHOWN);
  if (!place->file.data) return;
  exu_out(out, " (");
  exu_out_escaped(out, exu_base_name(place->file), 0, EXU_NAME_SHOWN);
  if (place->line > 0) {
    exu_out_char(out, ':');
    exu_out_signed(out, place->line);
  }
  exu_out_char(out, ')');
}

const char *exu_words_taken_by(enum exu_taken_by by) {
  switch (by) {
  case EXU_TAKEN_BY_COUNT:
  case EXU_TAKEN_BY_ACQUIRE: return "acquire()";
  case EXU_TAKEN_BY_EXIT_STACK: return "ExitStack";
  default: return "`with`";
  }
}

void exu_words_taken(struct exu_output *out, const struct exu_taker *taker) {
  exu_out(out, exu_words_taken_by(taker->by));
  if (taker->by == EXU_TAKEN_BY_COUNT) {
    exu_out(out, ", as last_tid and count of its SemLock say, which fork(2) copies");
    return;
  }
  exu_out(out, " in ");
  exu_words_place(out, &taker->place);
}

static void put_hex(struct exu_output *out, const char *before, uint64_t address, const char *after) {
  exu_out(out, before);
  exu_out_hex(out, address);
  exu_out(out, after);
}

/* "the RLock at 0x7f12" */
static void put_object(struct exu_output *out, const char *before, const struct exu_evidence *evidence) {
  exu_out(out, before);
  exu_out_escaped(out, evidence->type.data ? evidence->type : EXU_STRING_OF("object"), 0, EXU_NAME_SHOWN);
  put_hex(out, " at ", evidence->object, "");
}

static void put_in_function(struct exu_output *out, const char *what, const struct exu_evidence *evidence) {
  exu_out(out, what);
  if (!evidence->name.data) return;
  exu_out(out, ", in ");
  exu_out_escaped(out, evidence->name, 0, EXU_NAME_SHOWN);
}

/* "read(0x3, 0x7f00, 0x400, 0x0, ...)" */
static void put_call(struct exu_output *out, const char *who, const struct exu_wait *wait) {
  exu_out(out, who);
  if (!wait) return;
  if (wait->system_call_name) {
    exu_out(out, wait->system_call_name);
  } else {
    exu_out(out, "system call ");
    exu_out_signed(out, wait->system_call);
  }
  for (size_t i = 0; i < 4; i++) put_hex(out, i ? ", " : "(", wait->system_call_arguments[i], "");
  exu_out(out, ", ...)");
  if (wait->restarted) exu_out(out, ", restarted after an interruption");
}

/* What belongs to what comes before it. */
static const char *joint(enum exu_evidence_kind kind) {
  switch (kind) {
  case EXU_EVIDENCE_LOCAL:
  case EXU_EVIDENCE_CALL:
  case EXU_EVIDENCE_STREAM: return ", ";
  case EXU_EVIDENCE_BOUNDED: return " ";
  default: return "; ";
  }
}

static void put_of_python(struct exu_output *out, const struct exu_evidence *evidence) {
  switch (evidence->kind) {
  case EXU_EVIDENCE_FUTEX_OF:
    put_hex(out, "futex(", evidence->address, ")");
    put_object(out, " is the semaphore of the ", evidence);
    break;
  case EXU_EVIDENCE_PARKED:
    put_hex(out, "parked on ", evidence->address, "");
    put_object(out, ", which belongs to the ", evidence);
    break;
  case EXU_EVIDENCE_LOCAL:
    exu_out(out, "local `");
    exu_out_escaped(out, evidence->name, 0, EXU_NAME_SHOWN);
    exu_out(out, "` of ");
    exu_words_place(out, &evidence->place);
    break;
  case EXU_EVIDENCE_CALL:
    exu_out(out, "in a call by ");
    exu_words_place(out, &evidence->place);
    break;
  case EXU_EVIDENCE_STREAM:
    exu_out(out, "in sys.");
    exu_out_escaped(out, evidence->name, 0, EXU_NAME_SHOWN);
    break;
  case EXU_EVIDENCE_BOUNDED: exu_out(out, "(a BoundedSemaphore of 1 has the same)"); break;
  case EXU_EVIDENCE_FRAME:
    exu_words_place(out, &evidence->place);
    if (evidence->object) put_object(out, " of the ", evidence);
    break;
  case EXU_EVIDENCE_IMPORT_LOCK: put_hex(out, "", evidence->address, " is the import lock of the interpreter"); break;
  case EXU_EVIDENCE_PYMUTEX: put_hex(out, "parked on the PyMutex at ", evidence->address, ", which is locked"); break;
  case EXU_EVIDENCE_POLLS: put_hex(out, "asks again and again for the lock at ", evidence->object, ""); break;
  case EXU_EVIDENCE_HANDLE: put_hex(out, "parked on the event of the thread handle at ", evidence->object, ""); break;
  case EXU_EVIDENCE_JOIN: put_hex(out, "pthread_join of ", evidence->object, ""); break;
  case EXU_EVIDENCE_THREAD_LOCK: put_hex(out, "the lock is that of the Thread at ", evidence->object, ""); break;
  case EXU_EVIDENCE_QUEUED: exu_out(out, "it is an item of that queue"); break;
  case EXU_EVIDENCE_GIL:
    put_hex(out, "it sleeps on the condition variable of the GIL, futex ", evidence->address, "");
    break;
  default: break;
  }
}

static void put_of_c(struct exu_output *out, const struct exu_wait *wait, const struct exu_evidence *evidence) {
  switch (evidence->kind) {
  case EXU_EVIDENCE_MUTEX:
    exu_out(out, "futex(2) on a pthread_mutex_t");
    if (wait && wait->shared) exu_out(out, " that processes share");
    put_hex(out, " whose word is ", evidence->number, "");
    put_in_function(out, "", evidence);
    break;
  case EXU_EVIDENCE_RWLOCK: put_in_function(out, "futex(2) on a pthread_rwlock_t", evidence); break;
  case EXU_EVIDENCE_FUNCTION:
    exu_out(out, "futex(2) in ");
    exu_out_escaped(out, evidence->name, 0, EXU_NAME_SHOWN);
    break;
  case EXU_EVIDENCE_TID_RECORD: exu_out(out, "pthread_join: futex(2) on the record of that thread's id"); break;
  case EXU_EVIDENCE_STATE_RECORD: exu_out(out, "pthread_join: futex(2) on the record of that thread's state"); break;
  default: put_of_python(out, evidence);
  }
}

static void put_of_owner(struct exu_output *out, const struct exu_wait *wait, const struct exu_evidence *evidence) {
  switch (evidence->kind) {
  case EXU_EVIDENCE_ATTRIBUTE:
    exu_out(out, evidence->object ? "attribute " : "its attribute ");
    exu_out_escaped(out, evidence->name, 0, EXU_NAME_SHOWN);
    if (evidence->object) put_object(out, " of the ", evidence);
    break;
  case EXU_EVIDENCE_MEMBER:
    exu_out_escaped(out, evidence->name, 0, EXU_NAME_SHOWN);
    put_object(out, exu_string_is(evidence->name, "ident") ? " of the " : " in the ", evidence);
    break;
  case EXU_EVIDENCE_IMPORT_OWNER: exu_out(out, "the interpreter records who holds its import lock"); break;
  case EXU_EVIDENCE_NAMES:
    exu_out(out, "the ");
    exu_out_escaped(out, evidence->type, 0, EXU_NAME_SHOWN);
    exu_out(out, " names thread ");
    exu_out_unsigned(out, evidence->number);
    exu_out(out, " as its owner");
    break;
  case EXU_EVIDENCE_PTHREAD: exu_out(out, "the futex lies in its struct pthread"); break;
  case EXU_EVIDENCE_PTHREAD_TID: exu_out(out, "the futex lies in its struct pthread and holds its id"); break;
  case EXU_EVIDENCE_GIL_HOLDER: exu_out(out, "the interpreter says that its thread state has the GIL"); break;
  case EXU_EVIDENCE_GIL_STATE:
    put_hex(out, "the interpreter says that the thread state at ", evidence->address, " has the GIL");
    break;
  case EXU_EVIDENCE_FILE_LOCK: exu_out(out, "the kernel says who took the lock (/proc/locks)"); break;
  case EXU_EVIDENCE_COMPUTES:
    exu_out(out, "its result is computed in ");
    exu_words_place(out, &evidence->place);
    break;
  default: put_of_c(out, wait, evidence);
  }
}

static void put_one(struct exu_output *out, const struct exu_wait *wait, const struct exu_evidence *evidence) {
  switch (evidence->kind) {
  case EXU_EVIDENCE_REGISTERS: put_call(out, "registers: ", wait); break;
  case EXU_EVIDENCE_KERNEL: put_call(out, "the kernel: ", wait); break;
  case EXU_EVIDENCE_NO_CALL: exu_out(out, "registers: in no system call"); break;
  case EXU_EVIDENCE_STATE: exu_out(out, "the kernel: state D"); break;
  case EXU_EVIDENCE_STOPPED: exu_out(out, "the kernel says that the process is stopped"); break;
  case EXU_EVIDENCE_RAN: exu_out(out, "it ran while it was read"); break;
  case EXU_EVIDENCE_NO_SUCH_THREAD: exu_out(out, "no thread of the process is that one"); break;
  case EXU_EVIDENCE_NO_HOLDER: exu_out(out, "no thread of the process has it"); break;
  case EXU_EVIDENCE_NEVER_ENDS: exu_out(out, "the thread that has to end waits for ever itself"); break;
  case EXU_EVIDENCE_ALL_ASLEEP:
    exu_out(out,
            "every thread of the process sleeps in futex(2), without a time limit, on memory that no other process "
            "wakes it at, and the word there is still the one that it expects");
    break;
  case EXU_EVIDENCE_PROCESSES:
    exu_out(out,
            "all of these processes slept in these calls at the same time, without a time limit; whoever could let "
            "them go on, and has the other ends of their pipes and sockets or what they share, is one of them");
    break;
  case EXU_EVIDENCE_SEEN_PROCESSES:
    exu_out(out,
            "all of these processes slept in these calls at the same time, without a time limit; of all processes that "
            "could be looked into, no others have the other ends of their pipes and sockets or what they share");
    break;
  case EXU_EVIDENCE_NAMED: exu_out(out, "that has a name, by which others can open it"); break;
  default: put_of_owner(out, wait, evidence);
  }
}

void exu_words_evidence(struct exu_output *out, const struct exu_wait *wait, const struct exu_evidence *evidence) {
  const struct exu_evidence *first = evidence;
  for (; evidence; evidence = evidence->next) {
    if (evidence != first) exu_out(out, joint(evidence->kind));
    put_one(out, wait, evidence);
  }
}
