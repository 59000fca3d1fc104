/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread does in its system call. */
#include <inttypes.h>
#include <stdio.h>

#include "render/escape.h"
#include "render/words.h"

void exu_words_verb(struct exu_output *out, enum exu_form form, const char *finite, const char *participle) {
  if (form == EXU_FORM_FINITE) {
    exu_out(out, finite);
  } else if (form == EXU_FORM_PARTICIPLE) {
    exu_out(out, participle);
  } else {
    exu_out_char(out, (char)(participle[0] & ~0x20)); /* ASCII */
    exu_out(out, participle + 1);
  }
}

/* "250 ms", "3600 s" */
static void put_time(struct exu_output *out, int64_t microseconds) {
  char text[40];
  if (microseconds < 1000) {
    snprintf(text, sizeof text, "%" PRId64 " us", microseconds);
  } else if (microseconds < 1000000) {
    snprintf(text, sizeof text, "%.4g ms", (double)microseconds / 1e3);
  } else if (microseconds % 1000000 == 0) {
    snprintf(text, sizeof text, "%" PRId64 " s", microseconds / 1000000);
  } else {
    snprintf(text, sizeof text, "%.3f s", (double)microseconds / 1e6);
  }
  exu_out(out, text);
}

static void put_timeout(struct exu_output *out, const struct exu_wait *wait) {
  if (wait->timeout_us < 0) return;
  exu_out(out, ", at most ");
  put_time(out, wait->timeout_us);
}

static void put_fd(struct exu_output *out, int64_t fd) {
  exu_out(out, "fd ");
  exu_out_signed(out, fd);
}

static void put_descriptor(struct exu_output *out, const struct exu_descriptor *descriptor) {
  struct exu_output words;
  if (!descriptor) return;
  exu_output_init_text(&words);
  exu_words_descriptor(&words, descriptor);
  exu_out(out, ", ");
  exu_out_escaped(out, exu_output_text(&words), 0, EXU_PATH_SHOWN);
  exu_output_deinit_text(&words);
}

/* " (read)", " (poll, at most 5 s)" */
static void put_name(struct exu_output *out, const struct exu_wait *wait, bool with_timeout) {
  exu_out(out, " (");
  exu_out(out, wait->system_call_name);
  if (with_timeout) put_timeout(out, wait);
  exu_out_char(out, ')');
}

/* A call on one descriptor: "from fd 5 (read), socket ..." */
static void put_on_fd(struct exu_output *out, const struct exu_wait *wait, const char *before, bool with_timeout) {
  exu_out(out, before);
  put_fd(out, wait->fd);
  put_name(out, wait, with_timeout);
  put_descriptor(out, wait->descriptor);
}

/* " for events on 3 descriptors (poll): fd 3, pipe; fd 4, /dev/pts/1; ..." */
static void put_descriptors(struct exu_output *out, const struct exu_wait *wait) {
  if (wait->fds_in_all == 1) {
    put_on_fd(out, wait, " for ", true);
    return;
  }
  exu_out(out, " for events on ");
  if (wait->fds_in_all > 0) {
    exu_out_unsigned(out, wait->fds_in_all);
    exu_out_char(out, ' ');
  }
  exu_out(out, "descriptors");
  put_name(out, wait, wait->fds_in_all > 0);
  for (size_t i = 0; i < wait->fd_count; i++) {
    exu_out(out, i ? "; " : ": ");
    put_fd(out, wait->fds[i].fd);
    put_descriptor(out, wait->fds[i].descriptor);
  }
  if (wait->fds_in_all <= wait->fd_count) return;
  exu_out(out, "; and ");
  exu_out_unsigned(out, wait->fds_in_all - wait->fd_count);
  exu_out(out, " more");
}

static void put_sleep(struct exu_output *out, const struct exu_wait *wait) {
  exu_out(out, " (");
  exu_out(out, wait->system_call_name);
  if (wait->timeout_us >= 0) {
    exu_out(out, ", ");
    put_time(out, wait->timeout_us);
  }
  exu_out_char(out, ')');
}

static void put_lock_holder(struct exu_output *out, const struct exu_wait *wait, int64_t self) {
  const bool taken = wait->owner_place == EXU_OWNER_TAKER;
  if (wait->owner_place != EXU_OWNER_PROCESS && !taken) return;
  exu_out(out, taken ? ", taken by " : ", held by ");
  if (wait->owner_pid == self) {
    exu_out(out, "this process itself");
  } else {
    exu_out(out, "process ");
    exu_out_signed(out, wait->owner_pid);
  }
  if (taken) {
    exu_out(out, "; another one may have its descriptor now");
  } else if (wait->owner_pid != self && wait->owner_comm.size > 0) {
    exu_out(out, " (");
    exu_out_escaped(out, wait->owner_comm, 0, EXU_NAME_SHOWN);
    exu_out_char(out, ')');
  }
}

static void put_open(struct exu_output *out, const struct exu_wait *wait) {
  exu_out(out, wait->path.data ? " file " : " a file");
  if (wait->path.data) exu_out_escaped(out, wait->path, 0, EXU_PATH_SHOWN);
  put_name(out, wait, false);
}

static void put_child(struct exu_output *out, const struct exu_wait *wait) {
  exu_out(out, " for a child process to end (");
  exu_out(out, wait->system_call_name);
  if (wait->child >= 0) {
    exu_out(out, ", pid ");
    exu_out_signed(out, wait->child);
  }
  exu_out_char(out, ')');
}

static void put_other(struct exu_output *out, const struct exu_wait *wait) {
  exu_out(out, " system call ");
  if (wait->system_call_name) {
    exu_out(out, wait->system_call_name);
  } else {
    exu_out_signed(out, wait->system_call);
  }
  if (wait->fd < 0) return;
  exu_out(out, " on ");
  put_fd(out, wait->fd);
  put_descriptor(out, wait->descriptor);
}

static void put_wchan(struct exu_output *out, const struct exu_wait *wait) {
  if (!wait->wchan.data) return;
  exu_out(out, ", asleep in the kernel's ");
  exu_out_escaped(out, wait->wchan, 0, EXU_NAME_SHOWN);
}

static void put_waiting(struct exu_output *out, const struct exu_wait *wait, int64_t self) {
  switch (wait->call_class) {
  case EXU_CALL_SYNC: put_on_fd(out, wait, " until the device has what was written to ", false); break;
  case EXU_CALL_CONNECT: put_on_fd(out, wait, " to be connected on ", false); break;
  case EXU_CALL_ACCEPT: put_on_fd(out, wait, " for a connection on ", false); break;
  case EXU_CALL_EPOLL: put_on_fd(out, wait, " for events on ", true); break;
  case EXU_CALL_LOCK:
    put_on_fd(out, wait, " for a file lock on ", false);
    put_lock_holder(out, wait, self);
    break;
  case EXU_CALL_POLL:
  case EXU_CALL_SELECT: put_descriptors(out, wait); break;
  case EXU_CALL_CHILD: put_child(out, wait); break;
  case EXU_CALL_SIGNAL:
    exu_out(out, " for a signal");
    put_name(out, wait, true);
    break;
  case EXU_CALL_FUTEX:
    exu_out(out, " for futex ");
    exu_out_hex(out, wait->futex);
    break;
  case EXU_CALL_IPC:
    exu_out(out, " for a semaphore or a message");
    put_name(out, wait, false);
    break;
  case EXU_CALL_AIO:
    exu_out(out, " for input or output that it started before");
    put_name(out, wait, false);
    break;
  default: break;
  }
}

void exu_words_call(struct exu_output *out, const struct exu_wait *wait, int64_t self, enum exu_form form) {
  switch (wait->system_call_name ? wait->call_class : EXU_CALL_OTHER) {
  case EXU_CALL_READ:
    exu_words_verb(out, form, "reads", "reading");
    put_on_fd(out, wait, " from ", false);
    break;
  case EXU_CALL_WRITE:
    exu_words_verb(out, form, "writes", "writing");
    put_on_fd(out, wait, " to ", false);
    break;
  case EXU_CALL_CLOSE:
    exu_words_verb(out, form, "closes", "closing");
    put_on_fd(out, wait, " ", false);
    break;
  case EXU_CALL_OPEN:
    exu_words_verb(out, form, "opens", "opening");
    put_open(out, wait);
    break;
  case EXU_CALL_SLEEP:
    exu_words_verb(out, form, "sleeps", "sleeping");
    put_sleep(out, wait);
    break;
  case EXU_CALL_QUICK:
    exu_words_verb(out, form, "is running", "running");
    exu_out(out, " (in system call ");
    exu_out(out, wait->system_call_name);
    exu_out(out, ", which does not wait)");
    break;
  case EXU_CALL_OTHER:
    exu_words_verb(out, form, "is in", "in");
    put_other(out, wait);
    break;
  default: exu_words_verb(out, form, "waits", "waiting"); put_waiting(out, wait, self);
  }
  put_wchan(out, wait);
}
