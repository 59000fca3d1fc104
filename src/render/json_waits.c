/* SPDX-License-Identifier: Apache-2.0 */
/* What threads wait for: sentences, and the facts that they are made of. */
#include <string.h>

#include "render/json.h"
#include "render/words.h"

/* ---- Evidence ---------------------------------------------------------------------------------------------------- */

static void put_place(struct exu_json *json, const struct exu_place *place) {
  if (!place->function.data) return;
  exu_json_string(json, "function", place->function);
  exu_json_string(json, "file", place->file);
  if (place->line > 0)
    exu_json_signed(json, "line", place->line);
  else
    exu_json_null(json, "line");
}

/* Members that do not belong to it are left out. */
static void put_seen(struct exu_json *json, const char *key, const struct exu_evidence *evidence) {
  exu_json_begin_array(json, key, EXU_JSON_INLINE);
  for (; evidence; evidence = evidence->next) {
    exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
    exu_json_word(json, "code", exu_evidence_kind_name(evidence->kind));
    if (evidence->address) exu_json_address(json, "address", true, evidence->address);
    if (evidence->object) exu_json_address(json, "object", true, evidence->object);
    if (evidence->number) exu_json_unsigned(json, "number", evidence->number);
    if (evidence->type.data) exu_json_string(json, "type", evidence->type);
    if (evidence->name.data) exu_json_string(json, "name", evidence->name);
    put_place(json, &evidence->place);
    exu_json_end(json);
  }
  exu_json_end(json);
}

/* The same in words; null when there is none. */
static void put_evidence(struct exu_json *json, const struct exu_wait *wait, const struct exu_evidence *evidence) {
  struct exu_output words;
  if (!evidence) {
    exu_json_null(json, "evidence");
    return;
  }
  exu_output_init_text(&words);
  exu_words_evidence(&words, wait, evidence);
  exu_json_string(json, "evidence", exu_output_text(&words));
  exu_output_deinit_text(&words);
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

static void put_socket_end(struct exu_json *json, const char *key, const struct exu_socket_end *end) {
  if (!end->address.data) {
    exu_json_null(json, key);
    return;
  }
  exu_json_begin_object(json, key, EXU_JSON_INLINE);
  exu_json_string(json, "address", end->address);
  exu_json_unsigned(json, "port", end->port);
  exu_json_end(json);
}

static void put_inet(struct exu_json *json, const struct exu_descriptor *socket) {
  exu_json_word(json, "state", exu_socket_state_name(socket->state));
  put_socket_end(json, "local", &socket->local);
  put_socket_end(json, "remote", &socket->remote);
}

static void put_other_end(struct exu_json *json, const struct exu_descriptor *pipe) {
  exu_json_begin_object(json, "other_end", EXU_JSON_INLINE);
  exu_json_id(json, "pid", pipe->other_pid);
  exu_json_string(json, "process", pipe->other_comm);
  exu_json_bool(json, "self", pipe->other_self);
  exu_json_end(json);
}

static void put_watched(struct exu_json *json, const struct exu_descriptor *epoll) {
  exu_json_begin_array(json, "watched", EXU_JSON_INLINE);
  for (size_t i = 0; i < epoll->watched_count; i++) exu_json_id(json, NULL, epoll->watched[i]);
  exu_json_end(json);
  exu_json_unsigned(json, "watched_count", epoll->watched_in_all);
}

/* Members that do not belong to it are left out. */
static void put_facts(struct exu_json *json, const struct exu_descriptor *descriptor) {
  const enum exu_descriptor_kind kind = descriptor->kind;
  exu_json_begin_object(json, "descriptor", EXU_JSON_INLINE);
  exu_json_word(json, "kind", exu_descriptor_kind_name(kind));
  if (descriptor->name.data) exu_json_string(json, "name", descriptor->name);
  if (descriptor->inode) exu_json_unsigned(json, "inode", descriptor->inode);
  if (kind == EXU_DESCRIPTOR_UNIX) exu_json_word(json, "state", exu_socket_state_name(descriptor->state));
  if (kind == EXU_DESCRIPTOR_TCP || kind == EXU_DESCRIPTOR_UDP) put_inet(json, descriptor);
  if (kind == EXU_DESCRIPTOR_PIPE || kind == EXU_DESCRIPTOR_FIFO) put_other_end(json, descriptor);
  if (kind == EXU_DESCRIPTOR_EPOLL) put_watched(json, descriptor);
  exu_json_end(json);
}

/* In words, and as facts. */
static void put_descriptor(struct exu_json *json, const struct exu_descriptor *descriptor) {
  struct exu_output words;
  if (!descriptor) {
    exu_json_null(json, "file");
    exu_json_null(json, "descriptor");
    return;
  }
  exu_output_init_text(&words);
  exu_words_descriptor(&words, descriptor);
  exu_json_string(json, "file", exu_output_text(&words));
  exu_output_deinit_text(&words);
  put_facts(json, descriptor);
}

/* ---- Waits ------------------------------------------------------------------------------------------------------- */

static void put_object(struct exu_json *json, const struct exu_wait *wait) {
  if (wait->address == 0 && !wait->type.data) {
    exu_json_null(json, "object");
    return;
  }
  exu_json_begin_object(json, "object", EXU_JSON_INLINE);
  exu_json_address(json, "address", wait->address != 0, wait->address);
  exu_json_string(json, "type", wait->type);
  exu_json_end(json);
}

static void put_owner(struct exu_json *json, const struct exu_report *report, const struct exu_wait *wait) {
  if (wait->owner_place == EXU_OWNER_UNKNOWN) {
    exu_json_null(json, "owner");
    return;
  }
  bool shown = wait->owner >= 0 && (uint64_t)wait->owner < report->thread_count;
  exu_json_begin_object(json, "owner", EXU_JSON_INLINE);
  exu_json_id(json, "tid", shown ? report->threads[wait->owner].tid : wait->owner_tid);
  exu_json_string(json, "thread", wait->owner_name);
  put_evidence(json, wait, wait->owner_evidence);
  exu_json_word(json, "place", exu_owner_place_name(wait->owner_place));
  exu_json_address(json, "ident", wait->owner_ident != 0, wait->owner_ident);
  exu_json_id(json, "pid", wait->owner_pid);
  exu_json_string(json, "process", wait->owner_comm);
  put_seen(json, "seen", wait->owner_evidence);
  exu_json_end(json);
}

static void put_takers(struct exu_json *json, const struct exu_report *report, const struct exu_wait *wait) {
  exu_json_begin_array(json, "taken_by", EXU_JSON_INLINE);
  for (size_t i = 0; i < wait->taker_count; i++) {
    const struct exu_taker *taker = &wait->takers[i];
    struct exu_output words;
    if (taker->thread >= report->thread_count) continue;
    exu_output_init_text(&words);
    exu_words_taken(&words, taker);
    exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
    exu_json_id(json, "tid", report->threads[taker->thread].tid);
    exu_json_string(json, "thread", report->threads[taker->thread].name);
    exu_json_word(json, "by", exu_taken_by_name(taker->by));
    exu_json_string(json, "evidence", exu_output_text(&words));
    put_place(json, &taker->place);
    exu_json_bool(json, "kept", taker->kept);
    exu_json_bool(json, "by_name", taker->by_name);
    exu_json_end(json);
    exu_output_deinit_text(&words);
  }
  exu_json_end(json);
}

static void put_system_call(struct exu_json *json, const struct exu_wait *wait) {
  if (wait->system_call < 0) {
    exu_json_null(json, "system_call");
    return;
  }
  exu_json_begin_object(json, "system_call", EXU_JSON_INLINE);
  exu_json_id(json, "number", wait->system_call);
  exu_json_word(json, "name", wait->system_call_name);
  exu_json_id(json, "fd", wait->fd);
  put_descriptor(json, wait->descriptor);
  exu_json_id(json, "child", wait->child);
  exu_json_word(json, "class", exu_call_class_name(wait->call_class));
  exu_json_begin_array(json, "arguments", EXU_JSON_INLINE);
  for (size_t i = 0; i < 6; i++) exu_json_address(json, NULL, true, wait->system_call_arguments[i]);
  exu_json_end(json);
  exu_json_bool(json, "restarted", wait->restarted);
  exu_json_id(json, "timeout_us", wait->timeout_us);
  exu_json_begin_array(json, "fds", EXU_JSON_INLINE);
  for (size_t i = 0; i < wait->fd_count; i++) {
    exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
    exu_json_id(json, "fd", wait->fds[i].fd);
    put_descriptor(json, wait->fds[i].descriptor);
    exu_json_end(json);
  }
  exu_json_end(json);
  exu_json_unsigned(json, "fd_count", wait->fds_in_all);
  exu_json_string(json, "path", wait->path);
  exu_json_end(json);
}

static void put_pool(struct exu_json *json, const struct exu_pool *pool) {
  if (!pool) {
    exu_json_null(json, "pool");
    return;
  }
  exu_json_begin_object(json, "pool", EXU_JSON_INLINE);
  exu_json_string(json, "type", pool->type);
  exu_json_string(json, "name", pool->name);
  exu_json_address(json, "address", pool->address != 0, pool->address);
  exu_json_bool(json, "jobs", pool->jobs);
  exu_json_end(json);
}

static void put_count(struct exu_json *json, const char *key, uint32_t count) {
  exu_json_id(json, key, count ? (int64_t)count : -1);
}

static void put_stop(struct exu_json *json, const struct exu_wait *wait) {
  if (wait->kind != EXU_WAIT_STOPPED) {
    exu_json_null(json, "stopped");
    return;
  }
  exu_json_begin_object(json, "stopped", EXU_JSON_INLINE);
  exu_json_id(json, "signal", wait->stop_signal > 0 ? wait->stop_signal : -1);
  exu_json_word(json, "name", wait->stop_name);
  exu_json_word(json, "resumes_as", exu_wait_kind_name(wait->resumes_as));
  exu_json_end(json);
}

/* `words`: what it waits for as a sentence. */
static void put_wait(struct exu_json *json, const char *key, const struct exu_report *report,
                     const struct exu_wait *wait, struct exu_string words) {
  exu_json_begin_object(json, key, EXU_JSON_INLINE);
  exu_json_word(json, "kind", exu_wait_kind_name(wait->kind));
  exu_json_string(json, "summary", wait->kind == EXU_WAIT_UNKNOWN ? (struct exu_string){NULL, 0} : words);
  put_evidence(json, wait, wait->evidence);
  put_object(json, wait);
  put_owner(json, report, wait);
  put_takers(json, report, wait);
  put_system_call(json, wait);
  exu_json_word(json, "detail", exu_wait_detail_name(wait->detail));
  put_stop(json, wait);
  exu_json_address(json, "lock", wait->lock != 0, wait->lock);
  exu_json_address(json, "futex", wait->futex != 0, wait->futex);
  exu_json_bool(json, "shared", wait->shared);
  exu_json_string(json, "function", wait->function);
  exu_json_string(json, "gil_of", wait->gil_of);
  put_pool(json, wait->pool);
  put_count(json, "readers", wait->readers);
  put_count(json, "arrived", wait->arrived);
  put_count(json, "parties", wait->parties);
  exu_json_string(json, "child_name", wait->child_name);
  exu_json_string(json, "wchan", wait->wchan);
  put_seen(json, "seen", wait->evidence);
  exu_json_end(json);
}

void exu_json_wait(struct exu_json *json, const char *key, const struct exu_report *report, size_t thread) {
  struct exu_output words;
  const struct exu_wait *wait = report->threads[thread].wait;
  if (!wait) {
    exu_json_null(json, key);
    return;
  }
  exu_output_init_text(&words);
  exu_words_wait(&words, report, thread, EXU_FORM_TITLE);
  put_wait(json, key, report, wait, exu_output_text(&words));
  exu_output_deinit_text(&words);
}

/* ---- Who waits for whom ------------------------------------------------------------------------------------------ */

static void put_threads(struct exu_json *json, const struct exu_report *report, const size_t *threads, size_t count) {
  exu_json_begin_array(json, "threads", EXU_JSON_INLINE);
  for (size_t i = 0; i < count; i++) exu_json_id(json, NULL, report->threads[threads[i]].tid);
  exu_json_end(json);
}

static void put_processes(struct exu_json *json, const struct exu_report *report, const struct exu_hang *hang) {
  exu_json_begin_array(json, "processes", EXU_JSON_INLINE);
  for (size_t i = 0; i < hang->process_count; i++) {
    const struct exu_hang_process *process = &hang->processes[i];
    struct exu_output words;
    exu_output_init_text(&words);
    exu_words_wait_elsewhere(&words, process->wait, EXU_FORM_TITLE);
    exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
    exu_json_id(json, "pid", process->pid);
    exu_json_string(json, "name", process->comm);
    put_wait(json, "waits_on", report, process->wait, exu_output_text(&words));
    exu_json_end(json);
    exu_output_deinit_text(&words);
  }
  exu_json_end(json);
}

void exu_json_hang(struct exu_json *json, const struct exu_report *report, const struct exu_hang *hang) {
  struct exu_output words;
  exu_output_init_text(&words);
  exu_words_hang(&words, report, hang);
  exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
  exu_json_word(json, "kind", exu_hang_kind_name(hang->kind));
  exu_json_string(json, "sentence", exu_output_text(&words));
  put_evidence(json, NULL, hang->evidence);
  exu_json_bool(json, "certain", hang->certain);
  put_threads(json, report, hang->threads, hang->thread_count);
  exu_json_bool(json, "all_asleep", hang->all_asleep);
  put_processes(json, report, hang);
  put_seen(json, "seen", hang->evidence);
  exu_json_end(json);
  exu_output_deinit_text(&words);
}

void exu_json_deadlock(struct exu_json *json, const struct exu_report *report, const struct exu_deadlock *deadlock) {
  struct exu_output words;
  exu_output_init_text(&words);
  exu_words_deadlock(&words, report, deadlock);
  exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
  exu_json_string(json, "sentence", exu_output_text(&words));
  exu_json_bool(json, "certain", deadlock->certain);
  exu_json_bool(json, "timed", deadlock->timed);
  put_threads(json, report, deadlock->threads, deadlock->thread_count);
  exu_json_word(json, "proof", exu_proof_name(deadlock->proof));
  exu_json_bool(json, "all_asleep", deadlock->all_asleep);
  put_pool(json, deadlock->pool);
  exu_json_bool(json, "indirect", deadlock->indirect);
  exu_json_end(json);
  exu_output_deinit_text(&words);
}
