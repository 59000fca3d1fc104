/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "binary/modules.h"
#include "hostile.h"
#include "python/frame/frames.h"
#include "python/object/dict.h"
#include "python/runtime/runtime.h"

static const struct exu_options NO_OPTIONS = EXU_OPTIONS_DEFAULT;

uint64_t inside_offset(const struct inside *inside, uint64_t address) {
  const struct exu_region *region = exu_space_find(inside->process.space, address);
  if (!region || address - region->start >= region->saved) return UINT64_MAX;
  return region->offset + (address - region->start);
}

uint64_t inside_field(const struct inside *inside, uint64_t address, struct exu_field field) {
  uint64_t value;
  return exu_py_get(&inside->py, address, field, &value) ? value : 0;
}

static void add_file_part(struct inside *inside, uint64_t offset, uint64_t size, const char *what) {
  if (inside->place_count == PLACES_MAX || size == 0) return;
  inside->places[inside->place_count++] = (struct place){.offset = offset, .size = size, .what = what};
}

static void add_structure(struct inside *inside, uint64_t address, uint64_t size, const char *what) {
  uint64_t offset = inside_offset(inside, address);
  if (offset == UINT64_MAX || inside->place_count == PLACES_MAX || size == 0) return;
  inside->places[inside->place_count++] = (struct place){address, offset, size, what};
}

static uint64_t word_in(const uint8_t *bytes, unsigned size) {
  uint64_t value = 0;
  for (unsigned i = 0; i < size; i++) value |= (uint64_t)bytes[i] << 8 * i;
  return value;
}

/* The ELF header, the program headers, the notes: kernel cores have them in this order. */
static void add_headers(struct inside *inside, const struct scene *scene) {
  uint64_t table = word_in(scene->pristine + 32, 8), count = word_in(scene->pristine + 56, 2);
  add_file_part(inside, 0, 64, "ELF header");
  add_file_part(inside, table, count * 56, "program headers");
  for (uint64_t i = 0; i < count && table + (i + 1) * 56 <= scene->size; i++) {
    const uint8_t *header = scene->pristine + table + i * 56;
    if (word_in(header, 4) != 4) continue; /* PT_NOTE */
    uint64_t offset = word_in(header + 8, 8), size = word_in(header + 32, 8);
    for (uint64_t at = 0; at < size; at += 1024)
      add_file_part(inside, offset + at, size - at < 1024 ? size - at : 1024, "notes");
  }
}

static void add_string(struct inside *inside, uint64_t string) { add_structure(inside, string, 64, "string"); }

static void add_code(struct inside *inside, uint64_t code) {
  const struct exu_layout *layout = &inside->py.runtime->layout;
  code &= ~UINT64_C(7);
  add_structure(inside, code, layout->code_size.size, "code");
  add_string(inside, inside_field(inside, code, layout->code_filename));
  add_string(inside, inside_field(inside, code, layout->code_name));
  add_string(inside, inside_field(inside, code, layout->code_qualname));
  add_structure(inside, inside_field(inside, code, layout->code_lnotab), 64, "line table");
  add_structure(inside, inside_field(inside, code, layout->code_linetable), 64, "line table");
  add_structure(inside, inside_field(inside, code, layout->code_bytecode), 64, "bytecode");
}

static void add_thread(struct inside *inside, const struct exu_py_thread *thread) {
  const struct exu_layout *layout = &inside->py.runtime->layout;
  struct exu_py_stack stack = {0};
  add_structure(inside, thread->tstate, layout->tstate_size.size, "thread state");
  add_structure(inside, inside_field(inside, thread->tstate, layout->tstate_cframe), 24, "cframe");
  exu_py_frames(&inside->py, thread->tstate, -1, 0, &stack);
  for (size_t i = 0; i < stack.frames.count; i++) {
    uint64_t frame = stack.frames.items[i].address;
    bool object = exu_py_has(layout->tstate_frame);
    add_structure(inside, frame, object ? layout->frame_size.size : layout->iframe_size.size, "frame");
    add_code(inside, inside_field(inside, frame, object ? layout->frame_code : layout->iframe_executable));
    if (!object) add_structure(inside, inside_field(inside, frame, layout->iframe_previous), 64, "previous frame");
  }
}

static bool add_entry(void *context, uint64_t key, uint64_t value) {
  add_structure(context, key, 32, "key");
  add_structure(context, value, 64, "value");
  return true;
}

static void add_dict(struct inside *inside, uint64_t dict, bool entries) {
  const struct exu_layout *layout = &inside->py.runtime->layout;
  add_structure(inside, dict, 64, "dict");
  add_structure(inside, inside_field(inside, dict, layout->dict_keys), 128, "dict keys");
  add_structure(inside, inside_field(inside, dict, layout->dict_table), 128, "dict table");
  if (entries) exu_py_dict_each(&inside->py, dict, add_entry, inside);
}

static void add_names(struct inside *inside, uint64_t interpreter) {
  const struct exu_layout *layout = &inside->py.runtime->layout;
  uint64_t modules = inside_field(inside, interpreter, layout->interp_modules), module, active;
  add_dict(inside, modules, false);
  if (!exu_py_dict_get(&inside->py, modules, "threading", &module)) return;
  uint64_t dict = inside_field(inside, module, layout->module_dict);
  add_structure(inside, module, 64, "module");
  add_dict(inside, dict, false);
  if (exu_py_dict_get(&inside->py, dict, "_active", &active)) add_dict(inside, active, true);
}

static void add_everything(struct inside *inside, const struct scene *scene) {
  const struct exu_layout *layout = &inside->py.runtime->layout;
  add_headers(inside, scene);
  add_structure(inside, inside->py.runtime->address, 1024, "runtime");
  add_structure(inside, inside->py.unicode_type, 256, "type");
  for (size_t i = 0; i < inside->modules.count; i++)
    add_structure(inside, inside->modules.items[i].start, 2048, "module header");
  for (size_t i = 0; i < inside->threads.interpreters.count; i++) {
    uint64_t interpreter = inside->threads.interpreters.items[i].address;
    const struct exu_field fields[] = {
        layout->interp_next,          layout->interp_id,  layout->interp_threads_head, layout->interp_modules,
        layout->interp_gc_collecting, layout->interp_gil, layout->interp_runtime};
    for (size_t k = 0; k < sizeof fields / sizeof *fields; k++)
      if (fields[k].size) add_structure(inside, interpreter + fields[k].offset, fields[k].size, "interpreter");
    add_names(inside, interpreter);
  }
  for (size_t i = 0; i < inside->threads.threads.count; i++) add_thread(inside, &inside->threads.threads.items[i]);
}

void inside_open(struct inside *inside, const struct scene *scene) {
  struct exu_error error;
  *inside = (struct inside){.process = {0}};
  exu_arena_init(&inside->arena, (size_t)64 << 20);
  exu_diagnostics_init(&inside->diagnostics, &inside->arena);
  if (!exu_process_open_core(scene->path, &inside->arena, &inside->diagnostics, &inside->process, &error) ||
      !exu_modules_init(&inside->modules, &inside->process, &NO_OPTIONS, &inside->arena, &inside->diagnostics)) {
    fprintf(stderr, "FAIL: the intact core cannot be opened\n");
    exit(2);
  }
  exu_space_set_backing(inside->process.space, exu_modules_back_region, &inside->modules);
  struct exu_runtimes runtimes;
  if (!exu_runtimes_find(&runtimes, &inside->process, &inside->modules, &inside->arena, &inside->diagnostics, &error)) {
    fprintf(stderr, "FAIL: no Python in the intact core: %s\n", error.message);
    exit(2);
  }
  inside->py = runtimes.items[0];
  exu_py_threads(&inside->py, 0, &inside->threads);
  add_everything(inside, scene);
}

void inside_close(struct inside *inside) {
  exu_py_deinit(&inside->py);
  exu_modules_deinit(&inside->modules);
  exu_process_close(&inside->process);
  exu_arena_deinit(&inside->arena);
}
