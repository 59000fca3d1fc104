/* SPDX-License-Identifier: Apache-2.0 */
/* The files that an analysis wanted and that this machine does not have, in one message that says what to do. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "binary/debug_file.h"
#include "binary/modules.h"

enum { NAMED = 3, PATH_SHOWN = 160, MESSAGE_MAX = 2048 /* more than that */ };

struct message {
  char text[MESSAGE_MAX];
  size_t size;
};

__attribute__((format(printf, 2, 3))) static void put(struct message *message, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(message->text + message->size, sizeof message->text - message->size, format, arguments);
  va_end(arguments);
  message->size += size > 0 ? (size_t)size : 0;
  if (message->size >= sizeof message->text) message->size = sizeof message->text - 1;
}

static bool is_missing(const struct exu_binary *module) {
  bool absent = module->file_state == EXU_FILE_MISMATCHED || module->file_state == EXU_FILE_MISSING ||
                module->file_state == EXU_FILE_DELETED;
  return absent && !exu_binary_image_file(module);
}

static void put_file(struct message *message, const struct exu_binary *module) {
  const struct exu_string path = module->path;
  if (!path.data || path.size == 0)
    put(message, "the module at 0x%llx", (unsigned long long)module->start);
  else if (path.size > PATH_SHOWN)
    put(message, "...%.*s", PATH_SHOWN, path.data + path.size - PATH_SHOWN);
  else
    put(message, "%.*s", (int)path.size, path.data);
  put(message, " (");
  const bool other = module->file_state == EXU_FILE_MISMATCHED;
  if (other && module->build_id.size == 0) put(message, "the file there is another build; ");
  put(message, other && module->build_id.size > 0 ? "build ID mismatch: that of the process is " : "build ID ");
  for (size_t i = 0; i < module->build_id.size; i++) put(message, "%02x", module->build_id.bytes[i]);
  put(message, "%s)", module->build_id.size == 0 ? "unknown" : "");
}

void exu_modules_say_missing(struct exu_modules *modules) {
  const struct exu_options *options = modules->options;
  struct message message;
  size_t count = 0;
  message.size = 0;
  for (int wanted = 1; wanted >= 0; wanted--) {
    for (size_t i = 0; i < modules->count; i++) {
      const struct exu_binary *module = &modules->items[i];
      if (module->wanted != wanted || !is_missing(module) || count++ >= NAMED) continue;
      put(&message, "%s", count == 1 ? "" : ", ");
      put_file(&message, module);
    }
  }
  if (count == 0) return;
  char more[48] = "";
  if (count > NAMED) snprintf(more, sizeof more, " and %zu more", count - NAMED);
  exu_incomplete_first(modules->diagnostics, EXU_DIAGNOSTIC_FILES_MISSING,
                       "%s of the process %s not here, say where %s with --search DIR or --sysroot DIR%s: %s%s",
                       count == 1 ? "a file" : "files", count == 1 ? "is" : "are", count == 1 ? "it is" : "they are",
                       options->debuginfod ? "" : ", or try --debuginfod", message.text, more);
}
