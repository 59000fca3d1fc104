/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/*
 * How many bytes at `text` are a character that stderr may get as it is; 0: escape the first byte. Of what is not
 * ASCII, only the beginnings of C1 controls (c2 80-9f), of U+2000-206F, where the bidirectional controls are (e2 80,
 * e2 81), and of surrogates (ed a0-bf) are refused.
 */
static size_t plain_bytes(const unsigned char *text) {
  if (text[0] < 0x80) return text[0] >= 0x20 && text[0] != 0x7f;
  if (text[0] == 0xc2 && text[1] < 0xa0) return 0;
  if (text[0] == 0xe2 && (text[1] == 0x80 || text[1] == 0x81)) return 0;
  if (text[0] == 0xed && text[1] >= 0xa0) return 0;
  size_t size = text[0] < 0xc2 || text[0] > 0xf4 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
  for (size_t i = 1; i < size; i++) {
    if ((text[i] & 0xc0) != 0x80) return 0; /* also the NUL at the end */
  }
  return size;
}

static void __attribute__((format(printf, 1, 0))) print_line(const char *format, va_list values) {
  char *line = NULL;
  if (vasprintf(&line, format, values) < 0) {
    fputs("exuvia: out of memory\n", stderr);
    return;
  }
  fputs("exuvia: ", stderr);
  for (const char *at = line; *at;) {
    size_t size = plain_bytes((const unsigned char *)at);
    if (size > 0) {
      fwrite(at, 1, size, stderr);
      at += size;
    } else {
      fprintf(stderr, "\\x%02x", (unsigned char)*at++);
    }
  }
  fputc('\n', stderr);
  free(line);
}

void complain(const char *format, ...) {
  va_list values;
  va_start(values, format);
  print_line(format, values);
  va_end(values);
}

int output_failed(void) {
  complain("cannot write to standard output: %s", strerror(errno));
  return CLI_IOERR;
}

int usage_error(const struct command *command, const char *format, ...) {
  va_list values;
  va_start(values, format);
  print_line(format, values);
  va_end(values);
  fprintf(stderr, "Try 'exuvia %s%s--help' for more information.\n", command ? command->name : "", command ? " " : "");
  return CLI_USAGE;
}
