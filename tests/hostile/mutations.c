/* SPDX-License-Identifier: Apache-2.0 */
/* Mutations of frames, code objects, lists, names and versions. */
#include <stdio.h>
#include <string.h>

#include "mutator.h"
#include "python/object/dict.h"

enum { MIDDLE = 4 }; /* a frame of the victim that is neither its first nor its last */

static const uint64_t UNMAPPED = UINT64_C(0x123450000);
static const uint64_t HUGE_COUNT = UINT64_C(1) << 60;

/* ---- Frames --------------------------------------------------------------------------------------------------------- */

/* Where the first frame of the victim is kept: structure and field. */
static uint64_t first_frame_place(const struct mutator *mutator, struct exu_field *field) {
  const struct exu_layout *layout = mutator->layout;
  *field = exu_py_has(layout->tstate_frame) ? layout->tstate_frame : layout->tstate_current_frame;
  if (exu_py_has(*field)) return mutator->tstate;
  *field = layout->cframe_current_frame;
  return inside_field(&mutator->inside, mutator->tstate, layout->tstate_cframe);
}

static void mutate_previous(struct mutator *mutator, const char *name, uint64_t value, const char *code) {
  mutator_put(mutator, mutator_frame(mutator, MIDDLE), mutator_previous_field(mutator), value);
  mutator_lose(mutator, MIDDLE + 1, FRAMES_MAX, LOST);
  mutator_try(mutator, name, code);
}

/* How many frames the innermost call of the eval loop runs: those before the first of the call before it. */
static size_t innermost_run(const struct mutator *mutator, uint64_t cframe) {
  uint64_t before = inside_field(&mutator->inside, cframe, mutator->layout->cframe_previous);
  uint64_t caller = inside_field(&mutator->inside, before, mutator->layout->cframe_current_frame);
  size_t count = 0;
  while (count < mutator->thread->frame_count && mutator_frame(mutator, count) != caller) count++;
  return count;
}

/* All frames are lost, but where each call of the eval loop has a CFrame that leads to the one before: 3.11 and 3.12. */
static void mutate_first(struct mutator *mutator, const char *name, uint64_t value) {
  struct exu_field field;
  uint64_t place = first_frame_place(mutator, &field);
  bool one_run = place != mutator->tstate;
  size_t last = one_run ? innermost_run(mutator, place) - 1 : FRAMES_MAX;
  mutator_put(mutator, place, field, value);
  mutator_lose(mutator, 0, last, LOST);
  mutator_try(mutator, name, one_run ? "call-not-begun" : "frame-unreadable");
}

static void mutate_instruction(struct mutator *mutator, const char *name, uint64_t value) {
  const struct exu_layout *layout = mutator->layout;
  struct exu_field field = exu_py_has(layout->tstate_frame)       ? layout->frame_lasti
                           : exu_py_has(layout->iframe_instr_ptr) ? layout->iframe_instr_ptr
                                                                  : layout->iframe_prev_instr;
  mutator_put(mutator, mutator_frame(mutator, MIDDLE), field, value);
  mutator_lose(mutator, MIDDLE, MIDDLE, LINE_LOST);
  mutator_try(mutator, name, "instruction-outside-code");
}

void mutate_frames(struct mutator *mutator) {
  uint64_t middle = mutator_frame(mutator, MIDDLE);
  mutate_previous(mutator, "frame-previous-is-itself", middle, "frame-cycle");
  mutate_previous(mutator, "frame-previous-is-the-innermost", mutator_frame(mutator, 0), "frame-cycle");
  mutate_previous(mutator, "frame-previous-is-the-next-inner", mutator_frame(mutator, MIDDLE - 1), "frame-cycle");
  mutate_previous(mutator, "frame-previous-is-unmapped", UNMAPPED, "frame-unreadable");
  mutate_previous(mutator, "frame-previous-is-misaligned", mutator_frame(mutator, MIDDLE + 1) + 1, "frame-unreadable");
  mutate_previous(mutator, "frame-previous-is-in-the-kernel", UINT64_MAX - 7, "frame-unreadable");
  mutate_first(mutator, "first-frame-is-unmapped", UNMAPPED);
  mutate_first(mutator, "first-frame-is-misaligned", mutator_frame(mutator, 0) + 3);
  mutate_first(mutator, "first-frame-is-tiny", 8);
  if (exu_py_has(mutator->layout->tstate_frame)) {
    mutate_instruction(mutator, "instruction-is-negative", UINT64_C(0xffffff00));
    mutate_instruction(mutator, "instruction-is-huge", UINT64_C(0x7fffffff));
  } else {
    mutate_instruction(mutator, "instruction-before-the-code", mutator_code(mutator, middle) - 64);
    mutate_instruction(mutator, "instruction-behind-the-code", mutator_code(mutator, middle) + (1 << 20));
    mutate_instruction(mutator, "instruction-is-null", 0);
    mutate_instruction(mutator, "instruction-in-the-kernel", UINT64_MAX - 7);
  }
  if (exu_py_has(mutator->layout->tstate_cframe) && exu_py_has(mutator->layout->iframe_size)) {
    mutator_put(mutator, mutator->tstate, mutator->layout->tstate_cframe, UNMAPPED);
    mutator_lose(mutator, 0, FRAMES_MAX, LOST);
    mutator_try(mutator, "cframe-is-unmapped", "thread-state-unreadable");
  } else {
    mutator_skip(mutator, "cframe-is-unmapped");
  }
}

/* ---- Code ------------------------------------------------------------------------------------------------------------ */

static void mutate_code_pointer(struct mutator *mutator, const char *name, uint64_t value) {
  mutator_put(mutator, mutator_frame(mutator, MIDDLE), mutator_code_field(mutator), value);
  mutator_lose(mutator, MIDDLE, MIDDLE, LOST);
  mutator_try(mutator, name, "code-unreadable");
}

static void mutate_string(struct mutator *mutator, const char *name, uint64_t string, struct exu_field field,
                          uint64_t value) {
  mutator_put(mutator, string, field, value);
  mutator_lose_code(mutator, mutator->layout->code_name, string, LOST);
  mutator_lose_code(mutator, mutator->layout->code_filename, string, LOST);
  mutator_try(mutator, name, "code-unreadable");
}

static void mutate_table(struct mutator *mutator, const char *name, uint64_t code, struct exu_field table,
                         uint64_t size) {
  uint64_t bytes = inside_field(&mutator->inside, code, table);
  mutator_put(mutator, bytes, mutator->layout->var_size, size);
  mutator_lose_code(mutator, table, bytes, LINE_LOST);
  mutator_try(mutator, name, "line-table-unreadable");
}

void mutate_code(struct mutator *mutator) {
  const struct exu_layout *layout = mutator->layout;
  uint64_t code = mutator_code(mutator, mutator_frame(mutator, MIDDLE));
  uint64_t name = inside_field(&mutator->inside, code, layout->code_name);
  uint64_t file = inside_field(&mutator->inside, code, layout->code_filename);
  struct exu_field table = exu_py_has(layout->code_linetable) ? layout->code_linetable : layout->code_lnotab;
  struct exu_field length = exu_py_has(layout->ascii_size) ? layout->ascii_length : layout->var_size;

  mutate_code_pointer(mutator, "code-is-null", 0);
  mutate_code_pointer(mutator, "code-is-unmapped", UNMAPPED);
  mutate_code_pointer(mutator, "code-is-a-string", file);
  mutate_code_pointer(mutator, "code-is-within-a-string", file + 16);
  mutate_code_pointer(mutator, "code-is-a-thread-state", mutator->tstate);
  mutate_code_pointer(mutator, "code-is-a-frame", mutator_frame(mutator, MIDDLE));
  mutate_code_pointer(mutator, "code-is-within-the-code", code + 8);
  mutate_code_pointer(mutator, "code-is-zeros", mutator->scratch);

  mutate_string(mutator, "name-claims-2^60-characters", name, length, HUGE_COUNT);
  mutate_string(mutator, "name-claims-all-characters", name, length, UINT64_MAX);
  mutate_string(mutator, "name-claims-500-characters", name, length, 500);
  mutate_string(mutator, "file-claims-2^60-characters", file, length, HUGE_COUNT);
  mutate_string(mutator, "file-claims-2^20-characters", file, length, 1 << 20);
  mutate_string(mutator, "name-has-no-type", name, layout->object_type, UNMAPPED);
  mutate_string(mutator, "name-has-a-null-type", name, layout->object_type, 0);
  mutate_string(mutator, "name-has-another-type", name, layout->object_type, mutator->tstate);

  mutate_table(mutator, "line-table-claims-2^60-bytes", code, table, HUGE_COUNT);
  mutate_table(mutator, "line-table-claims-all-bytes", code, table, UINT64_MAX);
  mutator_put(mutator, code, table, UNMAPPED);
  mutator_lose_code(mutator, layout->code_name, name, LINE_LOST);
  mutator_try(mutator, "line-table-is-unmapped", "line-table-unreadable");
}

/* ---- Lists ------------------------------------------------------------------------------------------------------------ */

static uint64_t tstate_at(const struct mutator *mutator, size_t index) {
  return mutator->inside.threads.threads.items[index].tstate;
}

/* The list of thread states ends behind its second entry. */
static void mutate_second(struct mutator *mutator, const char *name, uint64_t next, bool third_lost) {
  mutator_put(mutator, tstate_at(mutator, 1), mutator->layout->tstate_next, next);
  for (size_t i = 2; third_lost && i < mutator->inside.threads.threads.count; i++)
    mutator_lose_thread(mutator, tstate_at(mutator, i));
  mutator_try(mutator, name, "list-damaged");
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
static bool put_interpreters(struct mutator *mutator, struct crowd crowd, uint64_t reserved) {
  const struct exu_layout *layout = mutator->layout;
  const struct exu_field fields[] = {
      layout->interp_next,          layout->interp_id,  layout->interp_threads_head, layout->interp_modules,
      layout->interp_gc_collecting, layout->interp_gil, layout->interp_finalizing};
  size_t field_count = sizeof fields / sizeof *fields;
  uint64_t stride = find_stride(fields, field_count), base = mutator->scratch + reserved;
  if (reserved + crowd.count * stride + largest_offset(fields, field_count) + 16 > mutator->scratch_size) return false;
  size_t real = mutator->inside.threads.interpreters.count;
  mutator_put(mutator, mutator->inside.threads.interpreters.items[real - 1].address, layout->interp_next, base);
  for (size_t i = 0; i < crowd.count; i++) {
    uint64_t address = base + i * stride;
    mutator_scratch(mutator, address, layout->interp_next, i + 1 < crowd.count ? address + stride : 0);
    if (layout->interp_id.size) mutator_scratch(mutator, address, layout->interp_id, real + i);
    if (crowd.threads) mutator_scratch(mutator, address, layout->interp_threads_head, crowd.threads);
    if (crowd.modules) mutator_scratch(mutator, address, layout->interp_modules, crowd.modules);
  }
  return true;
}

static void mutate_interpreters(struct mutator *mutator) {
  const struct exu_layout *layout = mutator->layout;
  uint64_t interpreter = mutator->inside.threads.interpreters.items[0].address;
  uint64_t modules = inside_field(&mutator->inside, interpreter, layout->interp_modules);
  size_t real = mutator->inside.threads.interpreters.count;
  if (put_interpreters(mutator, (struct crowd){.count = 1000}, 0)) {
    mutator->interpreters = real + 1000;
    mutator_try(mutator, "a-thousand-interpreters", NULL);
  } else {
    mutator_skip(mutator, "a-thousand-interpreters");
  }
  if (put_interpreters(mutator, (struct crowd){.count = 1000, .threads = tstate_at(mutator, 0), .modules = modules},
                       0)) {
    mutator->interpreters = real + 1000;
    mutator_try(mutator, "a-thousand-interpreters-share-their-threads", "list-damaged");
  }
  if (put_interpreters(mutator, (struct crowd){.count = 5000}, 0)) {
    mutator->interpreters = 4096;
    mutator_try(mutator, "five-thousand-interpreters", "list-damaged");
  } else {
    mutator_skip(mutator, "five-thousand-interpreters");
  }
  mutator_put(mutator, interpreter, layout->interp_next, interpreter);
  mutator_try(mutator, "interpreter-next-is-itself", "list-damaged");
  mutator_put(mutator, interpreter, layout->interp_next, UNMAPPED);
  mutator_try(mutator, "interpreter-next-is-unmapped", "interpreter-unreadable");
  mutator_put(mutator, interpreter, layout->interp_next, interpreter + 4);
  mutator_try(mutator, "interpreter-next-is-misaligned", "list-damaged");
}

/* Without the first thread state there is no interpreter to be believed in. */
static void mutate_head(struct mutator *mutator, const char *name, uint64_t value) {
  mutator_put(mutator, mutator->inside.threads.interpreters.items[0].address, mutator->layout->interp_threads_head,
              value);
  mutator->nothing = true;
  mutator_try(mutator, name, "python-not-found");
}

void mutate_lists(struct mutator *mutator) {
  const struct exu_layout *layout = mutator->layout;
  size_t count = mutator->inside.threads.threads.count;
  mutator_put(mutator, tstate_at(mutator, count - 1), layout->tstate_next, tstate_at(mutator, 0));
  mutator_try(mutator, "last-thread-leads-to-the-first", "list-damaged");
  mutator_put(mutator, tstate_at(mutator, count - 1), layout->tstate_next, tstate_at(mutator, count - 1));
  mutator_try(mutator, "last-thread-leads-to-itself", "list-damaged");
  mutate_second(mutator, "thread-next-is-itself", tstate_at(mutator, 1), true);
  mutate_second(mutator, "thread-next-is-misaligned", tstate_at(mutator, 2) + 1, true);
  mutator_put(mutator, tstate_at(mutator, 1), layout->tstate_next, UNMAPPED);
  for (size_t i = 2; i < count; i++) mutator_lose_thread(mutator, tstate_at(mutator, i));
  mutator_try(mutator, "thread-next-is-unmapped", "thread-state-unreadable");
  mutate_head(mutator, "thread-list-is-unmapped", UNMAPPED);
  mutate_head(mutator, "thread-list-is-misaligned", tstate_at(mutator, 0) + 4);
  mutate_interpreters(mutator);
}

/* ---- Names ------------------------------------------------------------------------------------------------------------ */

static uint64_t modules_of(const struct mutator *mutator) {
  return inside_field(&mutator->inside, mutator->inside.threads.interpreters.items[0].address,
                      mutator->layout->interp_modules);
}

/* threading._active */
static uint64_t active_of(struct mutator *mutator) {
  uint64_t module, active;
  if (!exu_py_dict_get(&mutator->inside.py, modules_of(mutator), "threading", &module)) return 0;
  uint64_t dict = inside_field(&mutator->inside, module, mutator->layout->module_dict);
  return exu_py_dict_get(&mutator->inside.py, dict, "_active", &active) ? active : 0;
}

static void mutate_dict(struct mutator *mutator, const char *name, uint64_t structure, struct exu_field field,
                        uint64_t value, const char *code) {
  if (!exu_py_has(field)) {
    mutator_skip(mutator, name);
    return;
  }
  mutator_put(mutator, structure, field, value);
  mutator->names_lost = true;
  mutator_try(mutator, name, code);
}

/* A dictionary of 2^40 empty entries, and a thousand interpreters whose modules it is. */
static void mutate_many_dicts(struct mutator *mutator) {
  const struct exu_layout *layout = mutator->layout;
  enum { RESERVED = 4096 };
  uint64_t dict = mutator->scratch, keys = mutator->scratch + 1024;
  if (!put_interpreters(mutator, (struct crowd){.count = 4000, .modules = dict}, RESERVED)) {
    mutator_skip(mutator, "four-thousand-huge-dictionaries");
    return;
  }
  if (exu_py_has(layout->dict_keys)) {
    mutator_scratch(mutator, dict, layout->dict_keys, keys);
    mutator_scratch(mutator, keys, layout->keys_nentries, UINT64_C(1) << 40);
    if (exu_py_has(layout->keys_log2_index_bytes)) mutator_scratch(mutator, keys, layout->keys_log2_index_bytes, 19);
  } else {
    mutator_scratch(mutator, dict, layout->dict_table, mutator->scratch + mutator->scratch_size / 2);
    mutator_scratch(mutator, dict, layout->dict_mask, (UINT64_C(1) << 40) - 1);
  }
  mutator->names_lost = true;
  mutator_try(mutator, "four-thousand-huge-dictionaries", "dict-budget");
}

void mutate_names(struct mutator *mutator) {
  const struct exu_layout *layout = mutator->layout;
  uint64_t modules = modules_of(mutator), active = active_of(mutator);
  uint64_t keys = inside_field(&mutator->inside, modules, layout->dict_keys);
  uint64_t active_keys = inside_field(&mutator->inside, active, layout->dict_keys);
  uint64_t interpreter = mutator->inside.threads.interpreters.items[0].address;
  const char *lost = "thread-names-unreadable";
  mutate_dict(mutator, "dict-claims-2^40-entries", keys, layout->keys_nentries, UINT64_C(1) << 40, NULL);
  mutate_dict(mutator, "active-claims-2^40-entries", active_keys, layout->keys_nentries, UINT64_C(1) << 40, NULL);
  mutate_dict(mutator, "dict-index-of-2^255-bytes", keys, layout->keys_log2_index_bytes, 255, lost);
  mutate_dict(mutator, "dict-index-of-2^40-bytes", keys, layout->keys_log2_index_bytes, 40, lost);
  mutate_dict(mutator, "dict-has-2^60-slots", keys, layout->keys_size, HUGE_COUNT, lost);
  mutate_dict(mutator, "dict-table-of-2^40-entries", modules, layout->dict_mask, (UINT64_C(1) << 40) - 1, NULL);
  mutate_dict(mutator, "dict-table-is-unmapped", modules, layout->dict_table, UNMAPPED, lost);
  mutate_dict(mutator, "dict-keys-are-unmapped", modules, layout->dict_keys, UNMAPPED, lost);
  mutate_dict(mutator, "active-keys-are-unmapped", active, layout->dict_keys, UNMAPPED, lost);
  mutate_dict(mutator, "modules-are-unmapped", interpreter, layout->interp_modules, UNMAPPED, lost);
  mutate_dict(mutator, "modules-are-misaligned", interpreter, layout->interp_modules, modules + 1, lost);
  mutate_many_dicts(mutator);
}

/* ---- Versions --------------------------------------------------------------------------------------------------------- */

enum { COOKIE_SIZE = 8, OFFSETS = 24, OFFSETS_END = 256 };

static bool has_debug_offsets(const struct mutator *mutator) {
  uint64_t offset = inside_offset(&mutator->inside, mutator->inside.py.runtime->address);
  return offset != UINT64_MAX && memcmp(mutator->scene.pristine + offset, "xdebugpy", COOKIE_SIZE) == 0;
}

/* The file of the interpreter is on this machine and still tells the truth. */
void mutate_versions(struct mutator *mutator) {
  uint64_t runtime = mutator->inside.py.runtime->address;
  if (!has_debug_offsets(mutator)) {
    mutator_skip(mutator, "version-is-3.77, -3.5, -4.0 and damaged debug offsets");
    return;
  }
  mutator_put_word(mutator, runtime + COOKIE_SIZE, UINT64_C(0x034d00f0));
  mutator_try(mutator, "version-is-3.77", NULL);
  mutator_put_word(mutator, runtime + COOKIE_SIZE, UINT64_C(0x030500f0));
  mutator_try(mutator, "version-is-3.5", NULL);
  mutator_put_word(mutator, runtime + COOKIE_SIZE, UINT64_MAX);
  mutator_try(mutator, "version-is-none", NULL);
  mutator_put_word(mutator, runtime, 0);
  mutator_try(mutator, "cookie-is-gone", NULL);
  for (uint64_t at = OFFSETS; at < OFFSETS_END; at += 8) {
    mutator_put_word(mutator, runtime + COOKIE_SIZE, UINT64_C(0x036300f0));
    mutator_put_word(mutator, runtime + at, UINT64_MAX);
    mutator_try(mutator, "version-is-3.99-with-a-damaged-offset", NULL);
  }
}

int run_mutations(int count, char **arguments) {
  static struct mutator mutator;
  mutator.only = count > 1 ? arguments[1] : NULL;
  mutator_open(&mutator, arguments[0]);
  mutate_frames(&mutator);
  mutate_code(&mutator);
  mutate_lists(&mutator);
  mutate_names(&mutator);
  mutate_versions(&mutator);
  printf("mutations: %zu tried, %zu skipped, %zu not seen through; %ld KiB\n", mutator.tried, mutator.skipped,
         mutator.failures, max_rss_kib());
  mutator_close(&mutator);
  return memory_is_fine() && mutator.failures == 0 && mutator.tried > 0 ? 0 : 1;
}
