/* SPDX-License-Identifier: Apache-2.0 */
#include "python/object/str.h"

#include <string.h>

#include "base/guard.h"

/* Where the characters of a string lie: `length` units of `unit` bytes each. */
struct characters {
  uint64_t address;
  uint64_t length;
  unsigned unit; /* 1, 2 or 4 */
  bool is_bytes; /* 2.7's str: bytes of an unknown encoding */
  bool is_ascii; /* the string says so of itself */
};

/* 2.7: Py_TPFLAGS_STRING_SUBCLASS and Py_TPFLAGS_UNICODE_SUBCLASS, the latter also in 3.x (Include/object.h). */
enum { FLAG_BYTES = 1 << 27, FLAG_UNICODE = 1 << 28 };

static bool type_flags(struct exu_py *py, uint64_t object, uint64_t *flags) {
  uint64_t type;
  return exu_py_get(py, object, py->runtime->layout.object_type, &type) &&
         exu_py_get(py, type, py->runtime->layout.type_flags, flags);
}

static bool locate_python2(struct exu_py *py, uint64_t address, struct characters *out) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t flags;
  if (!type_flags(py, address, &flags)) return false;
  if (flags & FLAG_BYTES) {
    *out = (struct characters){.address = address + layout->bytes_data.offset, .unit = 1, .is_bytes = true};
    return exu_py_get(py, address, layout->var_size, &out->length);
  }
  if (flags & FLAG_UNICODE) {
    *out = (struct characters){.unit = (unsigned)layout->unicode2_unit.size};
    return exu_py_get(py, address, layout->unicode2_length, &out->length) &&
           exu_py_get(py, address, layout->unicode2_data, &out->address);
  }
  return false;
}

/* PEP 393: Include/cpython/unicodeobject.h explains the four forms. */
static bool locate_python3(struct exu_py *py, uint64_t address, struct characters *out) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint8_t head[128] = {0};
  size_t size = layout->ascii_size.size;
  if (size > sizeof head || exu_space_read(py->space, address, head, size) != EXU_READABLE) return false;
  uint64_t kind = exu_py_field(head, size, layout->ascii_kind);
  bool compact = exu_py_field(head, size, layout->ascii_compact) != 0;
  bool ascii = exu_py_field(head, size, layout->ascii_ascii) != 0;
  bool ready = !exu_py_has(layout->ascii_ready) || exu_py_field(head, size, layout->ascii_ready) != 0;

  if (!ready || kind == 0) {
    /* Up to 3.11 a legacy string may exist as wchar_t only. wchar_t is 4 bytes on Linux. */
    if (!exu_py_has(layout->ascii_wstr)) return false;
    *out = (struct characters){.address = exu_py_field(head, size, layout->ascii_wstr), .unit = 4};
    return exu_py_get(py, address, layout->compact_wstr_length, &out->length);
  }
  if (kind != 1 && kind != 2 && kind != 4) return false;
  if (ascii && kind != 1) return false;
  uint64_t length = exu_py_field(head, size, layout->ascii_length);
  *out = (struct characters){.length = length, .unit = (unsigned)kind, .is_ascii = ascii};
  if (!compact) return exu_py_get(py, address, layout->unicode_data, &out->address);
  out->address = address + (ascii ? layout->ascii_size.size : layout->compact_size.size);
  return true;
}

static bool locate(struct exu_py *py, uint64_t address, struct characters *out) {
  if (!exu_py_plausible(address)) return false;
  bool found =
      exu_py_has(py->runtime->layout.ascii_size) ? locate_python3(py, address, out) : locate_python2(py, address, out);
  return found && (out->unit == 1 || out->unit == 2 || out->unit == 4);
}

static size_t put_utf8(char *out, uint32_t c) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  if (c < 0x800) {
    out[0] = (char)(0xC0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3F));
    return 2;
  }
  if (c < 0x10000) {
    out[0] = (char)(0xE0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3F));
    out[2] = (char)(0x80 | (c & 0x3F));
    return 3;
  }
  out[0] = (char)(0xF0 | c >> 18);
  out[1] = (char)(0x80 | (c >> 12 & 0x3F));
  out[2] = (char)(0x80 | (c >> 6 & 0x3F));
  out[3] = (char)(0x80 | (c & 0x3F));
  return 4;
}

static uint32_t unit_at(const uint8_t *bytes, size_t i, unsigned unit) {
  uint32_t value = 0;
  memcpy(&value, bytes + i * unit, unit);
  return value;
}

/* Length of the valid UTF-8 sequence at `bytes`, or 0. */
static size_t utf8_sequence(const uint8_t *bytes, size_t left) {
  uint8_t first = bytes[0];
  size_t size = first < 0x80                    ? 1
                : first >= 0xC2 && first < 0xE0 ? 2
                : first >= 0xE0 && first < 0xF0 ? 3
                : first >= 0xF0 && first < 0xF5 ? 4
                                                : 0;
  if (size == 0 || size > left) return 0;
  for (size_t i = 1; i < size; i++) {
    if ((bytes[i] & 0xC0) != 0x80) return 0;
  }
  if (first == 0xE0 && bytes[1] < 0xA0) return 0;
  if (first == 0xED && bytes[1] >= 0xA0) return 0; /* surrogates are not UTF-8 */
  if (first == 0xF0 && bytes[1] < 0x90) return 0;
  if (first == 0xF4 && bytes[1] >= 0x90) return 0;
  return size;
}

static size_t convert_bytes(const uint8_t *bytes, size_t count, char *out) {
  size_t size = 0;
  for (size_t i = 0; i < count;) {
    size_t sequence = utf8_sequence(bytes + i, count - i);
    if (sequence) {
      memcpy(out + size, bytes + i, sequence);
      size += sequence;
      i += sequence;
    } else {
      size += put_utf8(out + size, 0xDC00u + bytes[i++]);
    }
  }
  return size;
}

static bool convert_units(const uint8_t *bytes, size_t count, unsigned unit, bool pairs, char *out, size_t *out_size) {
  size_t size = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t c = unit_at(bytes, i, unit);
    if (pairs && c >= 0xD800 && c < 0xDC00 && i + 1 < count) {
      /* 2.7's narrow builds keep what is beyond the BMP as a pair. */
      uint32_t low = unit_at(bytes, i + 1, unit);
      if (low >= 0xDC00 && low < 0xE000) {
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        i++;
      }
    }
    if (c > 0x10FFFF) return false;
    size += put_utf8(out + size, c);
  }
  *out_size = size;
  return true;
}

/* Most bytes of UTF-8 that one unit can become. */
static size_t growth(const struct characters *where) {
  return where->is_bytes ? 3 : where->unit == 1 ? 2 : where->unit == 2 ? 3 : 4;
}

static bool all_ascii(const uint8_t *bytes, size_t size) {
  uint64_t high = 0;
  size_t i = 0;
  for (; i + sizeof(uint64_t) <= size; i += sizeof(uint64_t)) {
    uint64_t word;
    memcpy(&word, bytes + i, sizeof word);
    high |= word & UINT64_C(0x8080808080808080);
  }
  for (; i < size; i++) high |= bytes[i] & 0x80;
  return high == 0;
}

/*
 * CPython ends every string with a NUL that its length does not count, in every form and version. A length that is a
 * lie leads elsewhere: memory behind the string is no text.
 */
static bool is_terminated(struct exu_py *py, const struct characters *where) {
  uint64_t size, end;
  uint32_t nul = 0;
  if (__builtin_mul_overflow(where->length, (uint64_t)where->unit, &size)) return false;
  if (__builtin_add_overflow(where->address, size, &end)) return false;
  return exu_space_read(py->space, end, &nul, where->unit) == EXU_READABLE && nul == 0;
}

/* What is not ASCII. The text stays unknown when a character is none. */
static void convert(struct exu_py *py, const struct characters *where, const uint8_t *bytes, size_t count,
                    struct exu_string *text) {
  bool pairs = !exu_py_has(py->runtime->layout.ascii_size);
  size_t size = 0;
  char *converted = malloc(count * growth(where) + 1);
  if (!converted) return;
  bool good = true;
  if (where->is_bytes) {
    size = convert_bytes(bytes, count, converted);
  } else {
    good = convert_units(bytes, count, where->unit, pairs, converted, &size);
  }
  if (good) *text = exu_arena_string(py->arena, converted, size);
  free(converted);
}

enum exu_py_text exu_py_text(struct exu_py *py, uint64_t address, struct exu_string *text) {
  struct characters where;
  uint8_t small[1024];
  struct exu_string result = {NULL, 0};

  if (!locate(py, address, &where) || !is_terminated(py, &where)) return EXU_PY_TEXT_DAMAGED;
  bool cut = where.length > EXU_PY_TEXT_MAX;
  size_t count = cut ? EXU_PY_TEXT_MAX : (size_t)where.length;
  size_t bytes_size = count * where.unit;
  void *large EXU_GUARD(free) = bytes_size > sizeof small ? malloc(bytes_size) : NULL;
  uint8_t *bytes = bytes_size > sizeof small ? large : small;
  if (!bytes || exu_space_read(py->space, where.address, bytes, bytes_size) != EXU_READABLE) {
    return EXU_PY_TEXT_DAMAGED;
  }
  bool ascii = where.unit == 1 && all_ascii(bytes, bytes_size);
  if (where.is_ascii && !ascii) return EXU_PY_TEXT_DAMAGED;
  if (ascii) {
    result = exu_arena_string(py->arena, (const char *)bytes, bytes_size);
  } else {
    convert(py, &where, bytes, count, &result);
  }
  if (!result.data) return EXU_PY_TEXT_DAMAGED;
  *text = result;
  return cut ? EXU_PY_TEXT_CUT : EXU_PY_TEXT_OK;
}

bool exu_py_text_equals(struct exu_py *py, uint64_t address, const char *expected) {
  struct characters where;
  uint8_t bytes[64];
  size_t length = strlen(expected);
  if (!locate(py, address, &where) || where.length != length || length > sizeof bytes || where.unit != 1) return false;
  if (length == 0) return true;
  if (exu_space_read(py->space, where.address, bytes, length) != EXU_READABLE) return false;
  return memcmp(bytes, expected, length) == 0;
}
