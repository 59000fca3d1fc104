/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions by exu_lines_find, for comparison with an interpreter's own answers.
 *
 * Reads lines "FORMAT FIRST_LINE TABLE_IN_HEX OFFSET,OFFSET,..." (FORMAT is the value of enum exu_line_format, "-" is an empty
 * table) and writes for each a line of "line:end_line:column:end_column" separated by blanks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "python/frame/lines.h"

static size_t from_hex(const char *text, uint8_t *bytes) {
  size_t size = 0;
  unsigned byte;
  for (; sscanf(text, "%2x", &byte) == 1; text += 2) bytes[size++] = (uint8_t)byte;
  return size;
}

static void answer(char *line) {
  char *format = strtok(line, " "), *first = strtok(NULL, " "), *table = strtok(NULL, " "),
       *offsets = strtok(NULL, "\n");
  if (!format || !first || !table || !offsets) exit(2);
  uint8_t *bytes = malloc(strlen(table) / 2 + 1);
  if (!bytes) exit(2);
  size_t size = from_hex(table, bytes);
  for (char *offset = strtok(offsets, ","); offset; offset = strtok(NULL, ",")) {
    struct exu_position at =
        exu_lines_find((enum exu_line_format)atoi(format), bytes, size, atoi(first), atoll(offset));
    printf("%d:%d:%d:%d ", at.line, at.end_line, at.column, at.end_column);
  }
  putchar('\n');
  free(bytes);
}

int main(void) {
  char *line = NULL;
  size_t capacity = 0;
  while (getline(&line, &capacity, stdin) > 0) answer(line);
  free(line);
  return 0;
}
