/* SPDX-License-Identifier: Apache-2.0 */
#include "native/cython_name.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { SYMBOL_MAX = 1024, SCOPES_MAX = 32 };

static const struct {
  const char *prefix;
  enum exu_cython_kind kind;
} kinds[] = {
    {"__pyx_pw_", EXU_CYTHON_WRAPPER},
    {"__pyx_pf_", EXU_CYTHON_IMPLEMENTATION},
    {"__pyx_f_", EXU_CYTHON_C_FUNCTION},
};

/* A scope's name, or a function's. */
struct part {
  const char *data;
  size_t size;
};

struct symbol {
  enum exu_cython_kind kind;
  char text[SYMBOL_MAX]; /* behind the prefix */
  struct part scopes[SCOPES_MAX];
  const char *rests[SCOPES_MAX + 1]; /* rests[n]: what follows the first n scopes */
  size_t scope_count;                /* as many as can be read */
};

static bool is_digit(char character) { return character >= '0' && character <= '9'; }

/* A number below a million, without leading zeros; `*text` is moved behind it. -1: there is none. */
static long take_number(const char **text) {
  const char *at = *text;
  long number = 0;
  if (!is_digit(*at) || *at == '0') return -1;
  for (; is_digit(*at); at++) {
    if (number >= 100000) return -1;
    number = number * 10 + (*at - '0');
  }
  *text = at;
  return number;
}

enum exu_cython_kind exu_cython_kind(struct exu_string symbol) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds && symbol.data; i++) {
    if (symbol.size > strlen(kinds[i].prefix) && exu_string_starts(symbol, kinds[i].prefix)) return kinds[i].kind;
  }
  return EXU_CYTHON_NONE;
}

static const char *prefix_of(enum exu_cython_kind kind) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (kinds[i].kind == kind) return kinds[i].prefix;
  }
  return "";
}

static bool parse(struct exu_string text, struct symbol *symbol) {
  symbol->kind = exu_cython_kind(text);
  if (symbol->kind == EXU_CYTHON_NONE) return false;
  const size_t prefix = strlen(prefix_of(symbol->kind));
  size_t size = text.size - prefix;
  /* What a compiler adds to a part or a copy is not Cython's. */
  const char *dot = memchr(text.data + prefix, '.', size);
  if (dot) size = (size_t)(dot - text.data) - prefix;
  if (size >= sizeof symbol->text || memchr(text.data + prefix, 0, size)) return false;
  memcpy(symbol->text, text.data + prefix, size);
  symbol->text[size] = '\0';
  symbol->scope_count = 0;
  symbol->rests[0] = symbol->text;
  while (symbol->scope_count < SCOPES_MAX) {
    const char *at = symbol->rests[symbol->scope_count];
    const long length = take_number(&at);
    if (length < 0 || strlen(at) < (size_t)length + 2 || at[length] != '_') break;
    symbol->scopes[symbol->scope_count++] = (struct part){at, (size_t)length};
    symbol->rests[symbol->scope_count] = at + length + 1;
  }
  return symbol->scope_count > 0 && symbol->scope_count < SCOPES_MAX;
}

/* "loop" of /x/uvloop/loop.cpython-311-x86_64-linux-gnu.so */
static struct part module_name(struct exu_string path) {
  const char *data = path.data ? path.data : "";
  size_t start = path.size, end;
  while (start > 0 && data[start - 1] != '/') start--;
  for (end = start; end < path.size && data[end] != '.';) end++;
  return (struct part){data + start, end - start};
}

/* How many of the scopes are the module's own dotted name, at least; 0: it is another module's. */
static size_t module_scopes(const struct symbol *symbol, struct exu_string path) {
  const struct part name = module_name(path);
  for (size_t i = 0; i < symbol->scope_count; i++) {
    const struct part *scope = &symbol->scopes[i];
    if (scope->size == name.size && memcmp(scope->data, name.data, name.size) == 0) return i + 1;
  }
  /* The file of a package itself. */
  return name.size == 8 && memcmp(name.data, "__init__", 8) == 0 ? 1 : 0;
}

/* The number (0: none) and the name behind so many scopes. False: it cannot be read like that. */
static bool read_rest(const struct symbol *symbol, size_t scopes, long *number, const char **name) {
  const char *at = symbol->rests[scopes];
  *number = is_digit(*at) ? take_number(&at) : 0;
  *name = at;
  if (*number < 0 || !*at || is_digit(*at)) return false;
  switch (symbol->kind) {
  case EXU_CYTHON_WRAPPER: return *number > 0;
  case EXU_CYTHON_C_FUNCTION: return *number == 0;
  default: return true;
  }
}

/* Is the other one of wrapper and implementation there, or the type whose method it is? */
static bool is_proved(const struct symbol *symbol, size_t scopes, long number, const char *name, size_t module,
                      exu_cython_has_symbol *has_symbol, void *context) {
  const bool wrapper = symbol->kind == EXU_CYTHON_WRAPPER;
  const long other = wrapper ? number - 1 : number + 1;
  const int prefix = (int)(symbol->rests[scopes] - symbol->text);
  char digits[24] = "", text[SYMBOL_MAX + 64];
  if (other > 0) snprintf(digits, sizeof digits, "%ld", other);
  snprintf(text, sizeof text, "%s%.*s%s%s", prefix_of(wrapper ? EXU_CYTHON_IMPLEMENTATION : EXU_CYTHON_WRAPPER), prefix,
           symbol->text, digits, name);
  if (has_symbol(context, text)) return true;
  if (scopes <= module) return false;
  /* ModuleNode.py: an extension type of that scope has slots that carry its name. */
  const struct part *type = &symbol->scopes[scopes - 1];
  snprintf(text, sizeof text, "__pyx_tp_dealloc_%.*s%.*s", (int)(symbol->rests[scopes - 1] - symbol->text),
           symbol->text, (int)type->size, type->data);
  return has_symbol(context, text);
}

static struct exu_string dotted(struct exu_arena *arena, const struct symbol *symbol, size_t scopes, const char *name) {
  char text[SYMBOL_MAX + SCOPES_MAX];
  size_t used = 0;
  for (size_t i = 0; i < scopes; i++) {
    memcpy(text + used, symbol->scopes[i].data, symbol->scopes[i].size);
    used += symbol->scopes[i].size;
    text[used++] = '.';
  }
  int size = snprintf(text + used, sizeof text - used, "%s", name);
  return exu_arena_string(arena, text, used + (size_t)size);
}

struct exu_string exu_cython_name(struct exu_arena *arena, struct exu_string written, struct exu_string module,
                                  exu_cython_has_symbol *has_symbol, void *context) {
  const struct exu_string unknown = {NULL, 0};
  struct symbol symbol;
  if (!parse(written, &symbol)) return unknown;
  const size_t first = module_scopes(&symbol, module);
  size_t ways = 0, proved = 0, way = 0, proved_way = 0;
  long number;
  const char *name;
  for (size_t scopes = first; first > 0 && scopes <= symbol.scope_count; scopes++) {
    if (!read_rest(&symbol, scopes, &number, &name)) continue;
    ways++;
    way = scopes;
  }
  if (ways > 1) {
    for (size_t scopes = first; scopes <= symbol.scope_count; scopes++) {
      if (!read_rest(&symbol, scopes, &number, &name)) continue;
      if (!is_proved(&symbol, scopes, number, name, first, has_symbol, context)) continue;
      proved++;
      proved_way = scopes;
    }
    if (proved != 1) return unknown;
    way = proved_way;
  }
  if (ways == 0 || !read_rest(&symbol, way, &number, &name)) return unknown;
  return dotted(arena, &symbol, way, name);
}
