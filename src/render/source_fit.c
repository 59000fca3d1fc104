/* SPDX-License-Identifier: Apache-2.0 */
#include "render/source_fit.h"

#include <string.h>

#include "base/str.h"

enum { DECORATOR_LINES_MAX = 2000 };

static bool is_blank(char byte) { return byte == ' ' || byte == '\t' || byte == '\f'; }

/* A byte beyond ASCII may be anything: names are normalized (NFKC), and sources have encodings. */
static bool is_ascii(char byte) { return (unsigned char)byte < 0x80; }

static bool is_in_name(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '_' ||
         !is_ascii(byte);
}

static struct exu_string without_blanks(struct exu_string text) {
  while (text.size > 0 && is_blank(*text.data)) text = exu_string_behind(text, 1);
  return text;
}

/* Does the line begin with the word? Then what follows, without blanks, is stored in *rest. */
static bool begins_with(struct exu_string line, struct exu_string word, struct exu_string *rest) {
  if (line.size < word.size || memcmp(line.data, word.data, word.size) != 0) return false;
  if (line.size > word.size && is_in_name(line.data[word.size])) return false;
  *rest = without_blanks(exu_string_behind(line, word.size));
  return true;
}

static bool has_word(struct exu_string line, struct exu_string word) {
  for (size_t at = 0; at + word.size <= line.size; at++) {
    if (memcmp(line.data + at, word.data, word.size) != 0 || (at > 0 && is_in_name(line.data[at - 1]))) continue;
    if (at + word.size == line.size || !is_in_name(line.data[at + word.size])) return true;
  }
  return false;
}

/* Is the line, without its indentation, the definition of something of that name? */
static bool defines(struct exu_string line, struct exu_string name) {
  static const struct exu_string words[] = {EXU_STRING("def"), EXU_STRING("class"), EXU_STRING("type")};
  static const struct exu_string async = EXU_STRING("async");
  struct exu_string rest;
  if (begins_with(line, async, &rest)) line = rest;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (!begins_with(line, words[i], &rest)) continue;
    if (rest.size == 0 || *rest.data == '\\' || !is_ascii(*rest.data)) return true;
    for (size_t k = 0; k < name.size; k++)
      if (!is_ascii(name.data[k])) return true;
    if (begins_with(rest, name, &line)) return true;
    /* The bound of a type parameter is code of the parameter's name: class A[T: int]. */
    const char *bracket = memchr(rest.data, '[', rest.size);
    return bracket && has_word(exu_string_behind(rest, (size_t)(bracket - rest.data)), name);
  }
  return false;
}

/* The first line of the text, without its indentation; *size: with its end. */
static struct exu_string first_line(struct exu_string text, size_t *size) {
  size_t end = 0;
  while (end < text.size && text.data[end] != '\n' && text.data[end] != '\r') end++;
  *size = end;
  if (*size < text.size) *size += 1;
  if (*size < text.size && text.data[end] == '\r' && text.data[end + 1] == '\n') *size += 1;
  return without_blanks((struct exu_string){text.data, end});
}

bool exu_source_fits(struct exu_string text, bool whole, struct exu_string name) {
  if (!name.data || name.size == 0) return true;
  if (exu_string_starts(text, "\xef\xbb\xbf")) text = exu_string_behind(text, 3);
  /* No line begins there. A module's code has a first line even when its file is empty. */
  if (text.size == 0) return !whole || exu_string_is(name, "<module>");
  size_t size;
  struct exu_string line = first_line(text, &size);
  if (exu_string_is(name, "<lambda>")) return has_word(line, (struct exu_string)EXU_STRING("lambda"));
  /* Names that no source has: of modules, comprehensions, type parameters (3.12), annotations (3.14). */
  if (*name.data == '<' || exu_string_is(name, "__annotate__")) return true;
  if (line.size == 0 || *line.data != '@') return defines(line, name);
  /* Code begins at the first decorator, which may have lines of anything. */
  for (size_t i = 0; i < DECORATOR_LINES_MAX; i++) {
    text = exu_string_behind(text, size);
    if (text.size == 0) return !whole;
    line = first_line(text, &size);
    if (defines(line, name)) return true;
  }
  return true;
}
