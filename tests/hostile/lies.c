/* SPDX-License-Identifier: Apache-2.0 */
/* Lies about frames, code objects, lists, names and versions. */
#include <stdio.h>
#include <string.h>

#include "liar.h"
#include "python/object/dict.h"

enum { MIDDLE = 4 }; /* a frame of the victim that is neither its first nor its last */

static const uint64_t UNMAPPED = UINT64_C(0x123450000);
static const uint64_t HUGE_COUNT = UINT64_C(1) << 60;

/* ---- Frames --------------------------------------------------------------------------------------------------------- */

/* Where the first frame of the victim is kept: structure and field. */
static uint64_t first_frame_place(const struct liar *liar, struct exu_field *field) {
  const struct exu_layout *layout = liar->layout;
  *field = exu_py_has(layout->tstate_frame) ? layout->tstate_frame : layout->tstate_current_frame;
  if (exu_py_has(*field)) return liar->tstate;
  *field = layout->cframe_current_frame;
  return inside_field(&liar->inside, liar->tstate, layout->tstate_cframe);
}

static void lie_about_previous(struct liar *liar, const char *name, uint64_t value, const char *code) {
  liar_put(liar, liar_frame(liar, MIDDLE), liar_previous_field(liar), value);
  liar_lose(liar, MIDDLE + 1, FRAMES_MAX, LOST);
  liar_tell(liar, name, code);
}

/* How many frames the innermost call of the eval loop runs: those before the first of the call before it. */
static size_t innermost_run(const struct liar *liar, uint64_t cframe) {
  uint64_t before = inside_field(&liar->inside, cframe, liar->layout->cframe_previous);
  uint64_t caller = inside_field(&liar->inside, before, liar->layout->cframe_current_frame);
  size_t count = 0;
  while (count < liar->thread->frame_count && liar_frame(liar, count) != caller) count++;
  return count;
}

/* All frames are lost, but where each call of the eval loop has a CFrame that leads to the one before: 3.11 and 3.12. */
static void lie_about_first(struct liar *liar, const char *name, uint64_t value) {
  struct exu_field field;
  uint64_t place = first_frame_place(liar, &field);
  bool one_run = place != liar->tstate;
  size_t last = one_run ? innermost_run(liar, place) - 1 : FRAMES_MAX;
  liar_put(liar, place, field, value);
  liar_lose(liar, 0, last, LOST);
  liar_tell(liar, name, one_run ? "call-not-begun" : "frame-unreadable");
}

static void lie_about_instruction(struct liar *liar, const char *name, uint64_t value) {
  const struct exu_layout *layout = liar->layout;
  struct exu_field field = exu_py_has(layout->tstate_frame)       ? layout->frame_lasti
                           : exu_py_has(layout->iframe_instr_ptr) ? layout->iframe_instr_ptr
                                                                  : layout->iframe_prev_instr;
  liar_put(liar, liar_frame(liar, MIDDLE), field, value);
  liar_lose(liar, MIDDLE, MIDDLE, LINE_LOST);
  liar_tell(liar, name, "instruction-outside-code");
}

void tell_lies_about_frames(struct liar *liar) {
  uint64_t middle = liar_frame(liar, MIDDLE);
  lie_about_previous(liar, "frame-previous-is-itself", middle, "frame-cycle");
  lie_about_previous(liar, "frame-previous-is-the-innermost", liar_frame(liar, 0), "frame-cycle");
  lie_about_previous(liar, "frame-previous-is-the-next-inner", liar_frame(liar, MIDDLE - 1), "frame-cycle");
  lie_about_previous(liar, "frame-previous-is-unmapped", UNMAPPED, "frame-unreadable");
  lie_about_previous(liar, "frame-previous-is-misaligned", liar_frame(liar, MIDDLE + 1) + 1, "frame-unreadable");
  lie_about_previous(liar, "frame-previous-is-in-the-kernel", UINT64_MAX - 7, "frame-unreadable");
  lie_about_first(liar, "first-frame-is-unmapped", UNMAPPED);
  lie_about_first(liar, "first-frame-is-misaligned", liar_frame(liar, 0) + 3);
  lie_about_first(liar, "first-frame-is-tiny", 8);
  if (exu_py_has(liar->layout->tstate_frame)) {
    lie_about_instruction(liar, "instruction-is-negative", UINT64_C(0xffffff00));
    lie_about_instruction(liar, "instruction-is-huge", UINT64_C(0x7fffffff));
  } else {
    lie_about_instruction(liar, "instruction-before-the-code", liar_code(liar, middle) - 64);
    lie_about_instruction(liar, "instruction-behind-the-code", liar_code(liar, middle) + (1 << 20));
    lie_about_instruction(liar, "instruction-is-null", 0);
    lie_about_instruction(liar, "instruction-in-the-kernel", UINT64_MAX - 7);
  }
  if (exu_py_has(liar->layout->tstate_cframe) && exu_py_has(liar->layout->iframe_size)) {
    liar_put(liar, liar->tstate, liar->layout->tstate_cframe, UNMAPPED);
    liar_lose(liar, 0, FRAMES_MAX, LOST);
    liar_tell(liar, "cframe-is-unmapped", "thread-state-unreadable");
  } else {
    liar_skip(liar, "cframe-is-unmapped");
  }
}

/* ---- Code ------------------------------------------------------------------------------------------------------------ */

static void lie_about_code_pointer(struct liar *liar, const char *name, uint64_t value) {
  liar_put(liar, liar_frame(liar, MIDDLE), liar_code_field(liar), value);
  liar_lose(liar, MIDDLE, MIDDLE, LOST);
  liar_tell(liar, name, "code-unreadable");
}

static void lie_about_string(struct liar *liar, const char *name, uint64_t string, struct exu_field field,
                             uint64_t value) {
  liar_put(liar, string, field, value);
  liar_lose_code(liar, liar->layout->code_name, string, LOST);
  liar_lose_code(liar, liar->layout->code_filename, string, LOST);
  liar_tell(liar, name, "code-unreadable");
}

static void lie_about_table(struct liar *liar, const char *name, uint64_t code, struct exu_field table, uint64_t size) {
  uint64_t bytes = inside_field(&liar->inside, code, table);
  liar_put(liar, bytes, liar->layout->var_size, size);
  liar_lose_code(liar, table, bytes, LINE_LOST);
  liar_tell(liar, name, "line-table-unreadable");
}

void tell_lies_about_code(struct liar *liar) {
  const struct exu_layout *layout = liar->layout;
  uint64_t code = liar_code(liar, liar_frame(liar, MIDDLE));
  uint64_t name = inside_field(&liar->inside, code, layout->code_name);
  uint64_t file = inside_field(&liar->inside, code, layout->code_filename);
  struct exu_field table = exu_py_has(layout->code_linetable) ? layout->code_linetable : layout->code_lnotab;
  struct exu_field length = exu_py_has(layout->ascii_size) ? layout->ascii_length : layout->var_size;

  lie_about_code_pointer(liar, "code-is-null", 0);
  lie_about_code_pointer(liar, "code-is-unmapped", UNMAPPED);
  lie_about_code_pointer(liar, "code-is-a-string", file);
  lie_about_code_pointer(liar, "code-is-within-a-string", file + 16);
  lie_about_code_pointer(liar, "code-is-a-thread-state", liar->tstate);
  lie_about_code_pointer(liar, "code-is-a-frame", liar_frame(liar, MIDDLE));
  lie_about_code_pointer(liar, "code-is-within-the-code", code + 8);
  lie_about_code_pointer(liar, "code-is-zeros", liar->scratch);

  lie_about_string(liar, "name-claims-2^60-characters", name, length, HUGE_COUNT);
  lie_about_string(liar, "name-claims-all-characters", name, length, UINT64_MAX);
  lie_about_string(liar, "name-claims-500-characters", name, length, 500);
  lie_about_string(liar, "file-claims-2^60-characters", file, length, HUGE_COUNT);
  lie_about_string(liar, "file-claims-2^20-characters", file, length, 1 << 20);
  lie_about_string(liar, "name-has-no-type", name, layout->object_type, UNMAPPED);
  lie_about_string(liar, "name-has-a-null-type", name, layout->object_type, 0);
  lie_about_string(liar, "name-has-another-type", name, layout->object_type, liar->tstate);

  lie_about_table(liar, "line-table-claims-2^60-bytes", code, table, HUGE_COUNT);
  lie_about_table(liar, "line-table-claims-all-bytes", code, table, UINT64_MAX);
  liar_put(liar, code, table, UNMAPPED);
  liar_lose_code(liar, layout->code_name, name, LINE_LOST);
  liar_tell(liar, "line-table-is-unmapped", "line-table-unreadable");
}

/* ---- Lists ------------------------------------------------------------------------------------------------------------ */

static uint64_t tstate_at(const struct liar *liar, size_t index) {
  return liar->inside.threads.threads.items[index].tstate;
}

/* The list of thread states ends behind its second entry. */
static void lie_about_second(struct liar *liar, const char *name, uint64_t next, bool third_lost) {
  liar_put(liar, tstate_at(liar, 1), liar->layout->tstate_next, next);
  for (size_t i = 2; third_lost && i < liar->inside.threads.threads.count; i++)
    liar_lose_thread(liar, tstate_at(liar, i));
  liar_tell(liar, name, "list-damaged");
}

/*
 * Structures that overlap, so that many fit: a distance at which no two fields that are read lie on each other.
 */
static uint64_t find_stride(const struct exu_field *fields, size_t count) {
  for (uint64_t stride = 64;; stride += 8) {
    bool collide = false;
    for (size_t i = 0; i < count && !collide; i++) {
      for (size_t k = 0; k < i && !collide; k++) {
        if (!fields[i].size || !fields[k].size || fields[i].offset / 8 == fields[k].offset / 8) continue;
        uint64_t a = fields[i].offset / 8 * 8, b = fields[k].offset / 8 * 8;
        collide = (a > b ? a - b : b - a) % stride == 0;
      }
    }
    if (!collide) return stride;
  }
}

struct crowd {
  size_t count;
  uint64_t threads;
  uint64_t modules;
};

static uint64_t largest_offset(const struct exu_field *fields, size_t count) {
  uint64_t largest = 0;
  for (size_t i = 0; i < count; i++) {
    if (fields[i].size && fields[i].offset > largest) largest = fields[i].offset;
  }
  return largest;
}

/* Append interpreters that never were to the list. False when they do not fit; `reserved` bytes of scratch are left free. */
static bool put_interpreters(struct liar *liar, struct crowd crowd, uint64_t reserved) {
  const struct exu_layout *layout = liar->layout;
  const struct exu_field fields[] = {
      layout->interp_next,          layout->interp_id,  layout->interp_threads_head, layout->interp_modules,
      layout->interp_gc_collecting, layout->interp_gil, layout->interp_finalizing};
  size_t field_count = sizeof fields / sizeof *fields;
  uint64_t stride = find_stride(fields, field_count), base = liar->scratch + reserved;
  if (reserved + crowd.count * stride + largest_offset(fields, field_count) + 16 > liar->scratch_size) return false;
  size_t real = liar->inside.threads.interpreters.count;
  liar_put(liar, liar->inside.threads.interpreters.items[real - 1].address, layout->interp_next, base);
  for (size_t i = 0; i < crowd.count; i++) {
    uint64_t address = base + i * stride;
    liar_scratch(liar, address, layout->interp_next, i + 1 < crowd.count ? address + stride : 0);
    if (layout->interp_id.size) liar_scratch(liar, address, layout->interp_id, real + i);
    if (crowd.threads) liar_scratch(liar, address, layout->interp_threads_head, crowd.threads);
    if (crowd.modules) liar_scratch(liar, address, layout->interp_modules, crowd.modules);
  }
  return true;
}

static void lie_about_interpreters(struct liar *liar) {
  const struct exu_layout *layout = liar->layout;
  uint64_t interpreter = liar->inside.threads.interpreters.items[0].address;
  uint64_t modules = inside_field(&liar->inside, interpreter, layout->interp_modules);
  size_t real = liar->inside.threads.interpreters.count;
  if (put_interpreters(liar, (struct crowd){.count = 1000}, 0)) {
    liar->interpreters = real + 1000;
    liar_tell(liar, "a-thousand-interpreters", NULL);
  } else {
    liar_skip(liar, "a-thousand-interpreters");
  }
  if (put_interpreters(liar, (struct crowd){.count = 1000, .threads = tstate_at(liar, 0), .modules = modules}, 0)) {
    liar->interpreters = real + 1000;
    liar_tell(liar, "a-thousand-interpreters-share-their-threads", "list-damaged");
  }
  if (put_interpreters(liar, (struct crowd){.count = 5000}, 0)) {
    liar->interpreters = 4096;
    liar_tell(liar, "five-thousand-interpreters", "list-damaged");
  } else {
    liar_skip(liar, "five-thousand-interpreters");
  }
  liar_put(liar, interpreter, layout->interp_next, interpreter);
  liar_tell(liar, "interpreter-next-is-itself", "list-damaged");
  liar_put(liar, interpreter, layout->interp_next, UNMAPPED);
  liar_tell(liar, "interpreter-next-is-unmapped", "interpreter-unreadable");
  liar_put(liar, interpreter, layout->interp_next, interpreter + 4);
  liar_tell(liar, "interpreter-next-is-misaligned", "list-damaged");
}

/* Without the first thread state there is no interpreter to be believed in. */
static void lie_about_head(struct liar *liar, const char *name, uint64_t value) {
  liar_put(liar, liar->inside.threads.interpreters.items[0].address, liar->layout->interp_threads_head, value);
  liar->nothing = true;
  liar_tell(liar, name, "python-not-found");
}

void tell_lies_about_lists(struct liar *liar) {
  const struct exu_layout *layout = liar->layout;
  size_t count = liar->inside.threads.threads.count;
  liar_put(liar, tstate_at(liar, count - 1), layout->tstate_next, tstate_at(liar, 0));
  liar_tell(liar, "last-thread-leads-to-the-first", "list-damaged");
  liar_put(liar, tstate_at(liar, count - 1), layout->tstate_next, tstate_at(liar, count - 1));
  liar_tell(liar, "last-thread-leads-to-itself", "list-damaged");
  lie_about_second(liar, "thread-next-is-itself", tstate_at(liar, 1), true);
  lie_about_second(liar, "thread-next-is-misaligned", tstate_at(liar, 2) + 1, true);
  liar_put(liar, tstate_at(liar, 1), layout->tstate_next, UNMAPPED);
  for (size_t i = 2; i < count; i++) liar_lose_thread(liar, tstate_at(liar, i));
  liar_tell(liar, "thread-next-is-unmapped", "thread-state-unreadable");
  lie_about_head(liar, "thread-list-is-unmapped", UNMAPPED);
  lie_about_head(liar, "thread-list-is-misaligned", tstate_at(liar, 0) + 4);
  lie_about_interpreters(liar);
}

/* ---- Names ------------------------------------------------------------------------------------------------------------ */

static uint64_t modules_of(const struct liar *liar) {
  return inside_field(&liar->inside, liar->inside.threads.interpreters.items[0].address, liar->layout->interp_modules);
}

/* threading._active */
static uint64_t active_of(struct liar *liar) {
  uint64_t module, active;
  if (!exu_py_dict_get(&liar->inside.py, modules_of(liar), "threading", &module)) return 0;
  uint64_t dict = inside_field(&liar->inside, module, liar->layout->module_dict);
  return exu_py_dict_get(&liar->inside.py, dict, "_active", &active) ? active : 0;
}

static void lie_about_dict(struct liar *liar, const char *name, uint64_t structure, struct exu_field field,
                           uint64_t value, const char *code) {
  if (!exu_py_has(field)) {
    liar_skip(liar, name);
    return;
  }
  liar_put(liar, structure, field, value);
  liar->names_lost = true;
  liar_tell(liar, name, code);
}

/* A dictionary of 2^40 empty entries, and a thousand interpreters whose modules it is. */
static void lie_about_many_dicts(struct liar *liar) {
  const struct exu_layout *layout = liar->layout;
  enum { RESERVED = 4096 };
  uint64_t dict = liar->scratch, keys = liar->scratch + 1024;
  if (!put_interpreters(liar, (struct crowd){.count = 4000, .modules = dict}, RESERVED)) {
    liar_skip(liar, "four-thousand-huge-dictionaries");
    return;
  }
  if (exu_py_has(layout->dict_keys)) {
    liar_scratch(liar, dict, layout->dict_keys, keys);
    liar_scratch(liar, keys, layout->keys_nentries, UINT64_C(1) << 40);
    if (exu_py_has(layout->keys_log2_index_bytes)) liar_scratch(liar, keys, layout->keys_log2_index_bytes, 19);
  } else {
    liar_scratch(liar, dict, layout->dict_table, liar->scratch + liar->scratch_size / 2);
    liar_scratch(liar, dict, layout->dict_mask, (UINT64_C(1) << 40) - 1);
  }
  liar->names_lost = true;
  liar_tell(liar, "four-thousand-huge-dictionaries", "dict-budget");
}

void tell_lies_about_names(struct liar *liar) {
  const struct exu_layout *layout = liar->layout;
  uint64_t modules = modules_of(liar), active = active_of(liar);
  uint64_t keys = inside_field(&liar->inside, modules, layout->dict_keys);
  uint64_t active_keys = inside_field(&liar->inside, active, layout->dict_keys);
  uint64_t interpreter = liar->inside.threads.interpreters.items[0].address;
  const char *lost = "thread-names-unreadable";
  lie_about_dict(liar, "dict-claims-2^40-entries", keys, layout->keys_nentries, UINT64_C(1) << 40, NULL);
  lie_about_dict(liar, "active-claims-2^40-entries", active_keys, layout->keys_nentries, UINT64_C(1) << 40, NULL);
  lie_about_dict(liar, "dict-index-of-2^255-bytes", keys, layout->keys_log2_index_bytes, 255, lost);
  lie_about_dict(liar, "dict-index-of-2^40-bytes", keys, layout->keys_log2_index_bytes, 40, lost);
  lie_about_dict(liar, "dict-has-2^60-slots", keys, layout->keys_size, HUGE_COUNT, lost);
  lie_about_dict(liar, "dict-table-of-2^40-entries", modules, layout->dict_mask, (UINT64_C(1) << 40) - 1, NULL);
  lie_about_dict(liar, "dict-table-is-unmapped", modules, layout->dict_table, UNMAPPED, lost);
  lie_about_dict(liar, "dict-keys-are-unmapped", modules, layout->dict_keys, UNMAPPED, lost);
  lie_about_dict(liar, "active-keys-are-unmapped", active, layout->dict_keys, UNMAPPED, lost);
  lie_about_dict(liar, "modules-are-unmapped", interpreter, layout->interp_modules, UNMAPPED, lost);
  lie_about_dict(liar, "modules-are-misaligned", interpreter, layout->interp_modules, modules + 1, lost);
  lie_about_many_dicts(liar);
}

/* ---- Versions --------------------------------------------------------------------------------------------------------- */

enum { COOKIE_SIZE = 8, OFFSETS = 24, OFFSETS_END = 256 };

static bool has_debug_offsets(const struct liar *liar) {
  uint64_t offset = inside_offset(&liar->inside, liar->inside.py.runtime->address);
  return offset != UINT64_MAX && memcmp(liar->scene.pristine + offset, "xdebugpy", COOKIE_SIZE) == 0;
}

/* The file of the interpreter is on this machine and still tells the truth. */
void tell_lies_about_versions(struct liar *liar) {
  uint64_t runtime = liar->inside.py.runtime->address;
  if (!has_debug_offsets(liar)) {
    liar_skip(liar, "version-is-3.77, -3.5, -4.0 and damaged debug offsets");
    return;
  }
  liar_put_word(liar, runtime + COOKIE_SIZE, UINT64_C(0x034d00f0));
  liar_tell(liar, "version-is-3.77", NULL);
  liar_put_word(liar, runtime + COOKIE_SIZE, UINT64_C(0x030500f0));
  liar_tell(liar, "version-is-3.5", NULL);
  liar_put_word(liar, runtime + COOKIE_SIZE, UINT64_MAX);
  liar_tell(liar, "version-is-none", NULL);
  liar_put_word(liar, runtime, 0);
  liar_tell(liar, "cookie-is-gone", NULL);
  for (uint64_t at = OFFSETS; at < OFFSETS_END; at += 8) {
    liar_put_word(liar, runtime + COOKIE_SIZE, UINT64_C(0x036300f0));
    liar_put_word(liar, runtime + at, UINT64_MAX);
    liar_tell(liar, "version-is-3.99-with-a-damaged-offset", NULL);
  }
}

int run_lies(int count, char **arguments) {
  static struct liar liar;
  liar.only = count > 1 ? arguments[1] : NULL;
  liar_open(&liar, arguments[0]);
  tell_lies_about_frames(&liar);
  tell_lies_about_code(&liar);
  tell_lies_about_lists(&liar);
  tell_lies_about_names(&liar);
  tell_lies_about_versions(&liar);
  printf("lies: %zu told, %zu skipped, %zu not seen through; %ld KiB\n", liar.told, liar.skipped, liar.failures,
         max_rss_kib());
  liar_close(&liar);
  return memory_is_fine() && liar.failures == 0 && liar.told > 0 ? 0 : 1;
}
