/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

char *scratch_create(void) {
  const char *base = getenv("TMPDIR");
  char *directory = path_in(base && *base ? base : "/tmp", "exuvia-test-XXXXXX");
  assert_non_null(mkdtemp(directory));
  return directory;
}

void scratch_remove(char *directory) {
  run_command("rm -rf '%s'", directory);
  free(directory);
}

char *path_in(const char *directory, const char *name) {
  char *path = NULL;
  assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
  return path;
}

uint8_t *read_whole(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(fseek(file, 0, SEEK_END), 0);
  long end = ftell(file);
  assert_true(end >= 0);
  rewind(file);
  uint8_t *bytes = malloc((size_t)end + 1);
  assert_non_null(bytes);
  assert_int_equal(fread(bytes, 1, (size_t)end, file), (size_t)end);
  fclose(file);
  *size = (size_t)end;
  return bytes;
}

void write_whole(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

void copy_whole(const char *from, const char *to) {
  size_t size;
  uint8_t *bytes = read_whole(from, &size);
  write_whole(to, bytes, size);
  free(bytes);
}

void run_command(const char *format, ...) {
  char command[8192];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(command, sizeof command, format, arguments);
  va_end(arguments);
  assert_true(size > 0 && (size_t)size < sizeof command);
  if (system(command) != 0) fail_msg("command failed: %s", command);
}
