/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is at an address of a process, or at a symbol: "function+offset (module)" and the first bytes there.
 *
 *     cc look_up.c $(pkg-config --cflags --libs exuvia) -o look_up
 *     ./look_up CORE|PID ADDRESS|SYMBOL...
 */
#include <ctype.h>
#include <exuvia/exuvia.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Text of the process is data: nothing in it may move a terminal's cursor. Controls are c2 80 to c2 9f in UTF-8, too. */
static void print_string(struct exu_string text, const char *otherwise) {
  if (!text.data) {
    fputs(otherwise, stdout);
    return;
  }
  for (size_t i = 0; i < text.size; i++) {
    const unsigned char byte = (unsigned char)text.data[i];
    const bool wide = byte == 0xc2 && i + 1 < text.size && (unsigned char)text.data[i + 1] < 0xa0;
    putchar(wide || iscntrl(byte) ? '?' : byte);
    if (wide) i++;
  }
}

static void print_place(struct exu_session *session, const struct exu_report *report, uint64_t address) {
  struct exu_symbol symbol;
  unsigned char bytes[8];
  bool consistent = true;
  printf("0x%" PRIx64, address);
  if (exu_session_symbol_at(session, address, &symbol) == EXU_RESULT_OK) {
    fputs(" in ", stdout);
    print_string(symbol.name, "no function");
    printf("+0x%" PRIx64 " (", address - symbol.address);
    print_string(report->modules[symbol.module].path, "a module without a name");
    putchar(')');
  }
  fputs(": ", stdout);
  const enum exu_result result = exu_session_read(session, address, bytes, sizeof bytes, &consistent);
  for (size_t i = 0; result == EXU_RESULT_OK && i < sizeof bytes; i++) printf("%02x", bytes[i]);
  if (result != EXU_RESULT_OK) fputs(exu_result_text(result), stdout);
  puts(consistent ? "" : " (not of the moment of the stacks)");
}

static bool print_argument(struct exu_session *session, const struct exu_report *report, const char *argument) {
  char *end;
  uint64_t address = strtoull(argument, &end, 0);
  if (*end != '\0' && exu_session_find_symbol(session, -1, argument, &address) != EXU_RESULT_OK) {
    printf("%s: no such symbol\n", argument);
    return false;
  }
  print_place(session, report, address);
  return true;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s CORE|PID ADDRESS|SYMBOL...\n", argv[0]);
    return 64;
  }
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  options.python_only = true; /* no stacks are asked for */
  options.time_limit_ms = 10000;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL;
  char *end;
  const long pid = strtol(argv[1], &end, 10);
  enum exu_result result = *end == '\0' ? exu_session_open_process(pid, &options, &session)
                                        : exu_session_open_core(argv[1], &options, &session);
  if (result == EXU_RESULT_OK) result = exu_session_explain(session, &report);
  if (result != EXU_RESULT_OK) {
    fprintf(stderr, "%s: %s\n", argv[1], exu_result_text(result));
    exu_session_close(session);
    return 2;
  }
  bool found = true;
  for (int i = 2; i < argc; i++) found = print_argument(session, report, argv[i]) && found;
  exu_report_destroy(report);
  exu_session_close(session);
  return found ? 0 : 1;
}
