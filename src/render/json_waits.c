/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "render/json.h"

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
  bool shown = wait->owner >= 0 && (uint64_t)wait->owner < report->thread_count;
  if (!shown && wait->owner_tid < 0) {
    exu_json_null(json, "owner");
    return;
  }
  exu_json_begin_object(json, "owner", EXU_JSON_INLINE);
  exu_json_id(json, "tid", shown ? report->threads[wait->owner].tid : wait->owner_tid);
  exu_json_string(json, "thread", shown ? report->threads[wait->owner].name : (struct exu_string){NULL, 0});
  exu_json_string(json, "evidence", wait->owner_evidence);
  exu_json_end(json);
}

/* `by` of a taker, in words of the schema. */
static const char *taken_how(const char *by) {
  if (strcmp(by, "`with`") == 0) return "with";
  return strcmp(by, "ExitStack") == 0 ? "exit-stack" : "acquire";
}

static void put_takers(struct exu_json *json, const struct exu_report *report, const struct exu_wait *wait) {
  exu_json_begin_array(json, "taken_by", EXU_JSON_INLINE);
  for (size_t i = 0; i < wait->taker_count; i++) {
    const struct exu_taker *taker = &wait->takers[i];
    if (taker->thread >= report->thread_count) continue;
    exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
    exu_json_id(json, "tid", report->threads[taker->thread].tid);
    exu_json_string(json, "thread", report->threads[taker->thread].name);
    exu_json_word(json, "by", taken_how(taker->by));
    exu_json_string(json, "evidence", taker->evidence);
    exu_json_bool(json, "kept", taker->kept);
    exu_json_bool(json, "by_name", taker->by_name);
    exu_json_end(json);
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
  exu_json_string(json, "file", wait->file);
  exu_json_id(json, "child", wait->child);
  exu_json_end(json);
}

void exu_json_wait(struct exu_json *json, const char *key, const struct exu_report *report,
                   const struct exu_wait *wait) {
  if (!wait) {
    exu_json_null(json, key);
    return;
  }
  exu_json_begin_object(json, key, EXU_JSON_INLINE);
  exu_json_word(json, "kind", exu_wait_kind_name(wait->kind));
  exu_json_string(json, "summary", wait->summary);
  exu_json_string(json, "evidence", wait->evidence);
  put_object(json, wait);
  put_owner(json, report, wait);
  put_takers(json, report, wait);
  put_system_call(json, wait);
  exu_json_end(json);
}

static void put_threads(struct exu_json *json, const struct exu_report *report, const size_t *threads, size_t count) {
  exu_json_begin_array(json, "threads", EXU_JSON_INLINE);
  for (size_t i = 0; i < count; i++) exu_json_id(json, NULL, report->threads[threads[i]].tid);
  exu_json_end(json);
}

void exu_json_hang(struct exu_json *json, const struct exu_report *report, const struct exu_hang *hang) {
  exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
  exu_json_word(json, "kind", exu_hang_kind_name(hang->kind));
  exu_json_string(json, "sentence", hang->sentence);
  exu_json_string(json, "evidence", hang->evidence);
  exu_json_bool(json, "certain", hang->certain);
  put_threads(json, report, hang->threads, hang->thread_count);
  exu_json_end(json);
}

void exu_json_deadlock(struct exu_json *json, const struct exu_report *report, const struct exu_deadlock *deadlock) {
  exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
  exu_json_string(json, "sentence", deadlock->sentence);
  exu_json_bool(json, "certain", deadlock->certain);
  exu_json_bool(json, "timed", deadlock->timed);
  put_threads(json, report, deadlock->threads, deadlock->thread_count);
  exu_json_end(json);
}
