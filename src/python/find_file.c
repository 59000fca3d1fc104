/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the runtime through the symbols or the sections of a file on this machine. */
#include <string.h>

#include "binary/debug_file.h"
#include "python/build.h"
#include "python/find.h"
#include "python/version.h"

bool exu_py_is_interpreter(const struct exu_py *py, uint64_t interpreter, bool may_be_empty) {
  uint64_t tstate, owner;
  if (!exu_py_plausible(interpreter)) return false;
  if (!exu_py_get(py, interpreter, py->layout.interp_threads_head, &tstate)) return false;
  if (tstate == 0) return may_be_empty;
  return exu_py_plausible(tstate) && exu_py_get(py, tstate, py->layout.tstate_interp, &owner) && owner == interpreter;
}

static uint64_t variable(const struct exu_binary *module, struct exu_elf_file *file, const char *name) {
  struct exu_elf_symbol symbol;
  return exu_elf_file_symbol(file, name, &symbol) ? module->bias + symbol.value : 0;
}

/* Variables of the library up to 3.6, when interpreters and the GIL had no structure yet. */
static void find_variables(struct exu_py *py, const struct exu_binary *module, struct exu_elf_file *file) {
  py->variables = (struct exu_py_variables){
      .interp_head = variable(module, file, "interp_head"),
      .current_tstate = variable(module, file, "_PyThreadState_Current"),
      .gc_collecting = variable(module, file, "collecting"),
      .gil_cond = variable(module, file, "gil_cond"),
      .gil_mutex = variable(module, file, "gil_mutex"),
      .switch_cond = variable(module, file, "switch_cond"),
      .switch_mutex = variable(module, file, "switch_mutex"),
      .gil_lock = variable(module, file, "interpreter_lock"),
  };
}

void exu_py_find_import_lock(struct exu_py *py) {
  struct exu_elf_file *file = py->module ? exu_modules_file_or_image(py->modules, py->module) : NULL;
  if (exu_py_has(py->layout.interp_import_lock) || py->variables.import_lock_sought || !file) return;
  py->variables.import_lock_sought = true;
  py->variables.import_lock = variable(py->module, file, "import_lock");
  py->variables.import_lock_owner = variable(py->module, file, "import_lock_thread");
}

/* Py_Version (3.11 and later) holds PY_VERSION_HEX; it lies in read-only data, which only the file has. */
static bool version_from_symbol(struct exu_py *py, const struct exu_binary *module, struct exu_elf_file *file) {
  uint64_t address = variable(module, file, "Py_Version"), value;
  if (!address || !exu_py_word(py, address, &value) || value >> 24 < 3 || value >> 24 > 4) return false;
  exu_py_set_version(py, exu_version_of_hex((uint32_t)value), true);
  return true;
}

/* Without debug offsets: the version, then DWARF, then the table. */
static bool choose_layout(struct exu_py *py, struct exu_binary *module, struct exu_elf_file *file,
                          struct exu_py_attempts *attempts) {
  py->debug = EXU_UNKNOWN;
  py->build = (struct exu_build){0};
  if (!version_from_symbol(py, module, file) && !exu_py_version_from_text(py, module) &&
      !exu_py_version_from_path(py, module->path)) {
    return false;
  }
  py->debug = exu_py_is_debug_build(py, module);
  py->build.debug = py->debug == EXU_YES;
  if (exu_py_layout_from_dwarf(py, module)) return true;
  if (exu_py_layout_from_table(py, py->debug == EXU_YES)) return true;
  attempts->unsupported = true;
  snprintf(attempts->unsupported_version, sizeof attempts->unsupported_version, "%.*s", (int)py->version_text.size,
           py->version_text.data);
  return false;
}

static bool find_runtime(struct exu_py *py, struct exu_binary *module, struct exu_elf_file *file, uint64_t runtime,
                         struct exu_py_attempts *attempts) {
  struct exu_error error = {0};
  uint64_t head = 0;
  py->module = module;
  if (exu_py_layout_from_debug_offsets(py, runtime, &error)) {
    py->debug = exu_py_is_debug_build(py, module);
  } else if (!choose_layout(py, module, file, attempts)) {
    return false;
  }
  if (!exu_py_get(py, runtime, py->layout.runtime_interpreters_head, &head)) return false;
  py->runtime = runtime;
  attempts->found_runtime = true;
  if (!exu_py_is_interpreter(py, head, true)) {
    attempts->damaged |= head != 0;
    return false;
  }
  py->interpreters = head;
  return true;
}

/*
 * Up to 3.6: the head of the list of interpreters is a static variable; else the thread that holds the GIL leads to
 * one.
 */
static bool find_old_runtime(struct exu_py *py, struct exu_binary *module, struct exu_elf_file *file,
                             struct exu_py_attempts *attempts) {
  uint64_t head = 0, tstate = 0;
  find_variables(py, module, file);
  if (!py->variables.interp_head && !py->variables.current_tstate) return false;
  py->module = module;
  if (!choose_layout(py, module, file, attempts) || exu_py_has(py->layout.runtime_size)) return false;
  if (py->variables.interp_head) {
    if (!exu_py_word(py, py->variables.interp_head, &head)) return false;
    attempts->found_runtime = true;
    if (!exu_py_is_interpreter(py, head, true)) {
      attempts->damaged |= head != 0;
      return false;
    }
  } else {
    if (!exu_py_word(py, py->variables.current_tstate, &tstate) || !exu_py_plausible(tstate)) return false;
    if (!exu_py_get(py, tstate, py->layout.tstate_interp, &head) || !exu_py_is_interpreter(py, head, false))
      return false;
  }
  py->interpreters = head;
  return true;
}

bool exu_py_find_in_file(struct exu_py *py, struct exu_binary *module, enum exu_found_by by,
                         struct exu_py_attempts *attempts) {
  struct exu_elf_file *file = exu_modules_file_or_image(py->modules, module);
  if (!file) return false;
  uint64_t runtime = 0, size;
  if (by == EXU_FOUND_BY_SECTION) {
    if (!exu_elf_file_section(file, ".PyRuntime", &runtime, &size)) return false;
    runtime += module->bias;
  } else {
    runtime = variable(module, file, "_PyRuntime");
  }
  bool found = runtime ? find_runtime(py, module, file, runtime, attempts)
                       : by == EXU_FOUND_BY_SYMBOL && find_old_runtime(py, module, file, attempts);
  if (found) py->found_by = by;
  return found;
}
