/* SPDX-License-Identifier: Apache-2.0 */
#include "python/frame/lines.h"

#include "base/cursor.h"

static const struct exu_position UNKNOWN = {-1, -1, -1, -1};

static struct exu_position line_only(int64_t line) {
  struct exu_position position = UNKNOWN;
  if (line >= 0 && line <= INT32_MAX) position.line = (int32_t)line;
  return position;
}

/* Pairs (bytes of code, lines): every entry that starts at or before the instruction counts. */
static struct exu_position find_lnotab(const uint8_t *table, size_t size, int32_t first_line, int64_t instruction,
                                       bool is_signed) {
  int64_t address = 0, line = first_line;
  for (size_t i = 0; i + 1 < size; i += 2) {
    address += table[i];
    if (address > instruction) break;
    line += is_signed ? (int8_t)table[i + 1] : table[i + 1];
  }
  return line_only(line);
}

/* 3.10: pairs (bytes of code, lines) of the range that the pair itself covers; -128: this range has no line. */
static struct exu_position find_linetable(const uint8_t *table, size_t size, int32_t first_line, int64_t instruction) {
  int64_t end = 0, line = first_line;
  for (size_t i = 0; i + 1 < size; i += 2) {
    int8_t delta = (int8_t)table[i + 1];
    end += table[i];
    if (delta != -128) line += delta;
    if (instruction < end) return delta == -128 ? UNKNOWN : line_only(line);
  }
  return UNKNOWN;
}

/* Six bits a byte, least significant first; bit 6 says that more follow. */
static uint64_t varint(struct exu_cursor *cursor) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 36; shift += 6) {
    uint8_t byte = exu_cursor_u8(cursor);
    value |= (uint64_t)(byte & 0x3F) << shift;
    if (!(byte & 0x40)) return value;
  }
  cursor->failed = true;
  return 0;
}

static int64_t signed_varint(struct exu_cursor *cursor) {
  uint64_t value = varint(cursor);
  return value & 1 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
}

/* The kinds of Include/cpython/code.h, enum _PyCodeLocationInfoKind. */
enum { ONE_LINE0 = 10, ONE_LINE2 = 12, NO_COLUMNS = 13, LONG_FORM = 14, NO_LOCATION = 15 };

/* Decode one entry after its first byte. Advances *line; *position says where the entry's instructions are. */
static void location_entry(struct exu_cursor *cursor, unsigned kind, int64_t *line, struct exu_position *position) {
  *position = UNKNOWN;
  if (kind == NO_LOCATION) return;
  if (kind == LONG_FORM) {
    *line += signed_varint(cursor);
    int64_t end_line = *line + (int64_t)varint(cursor);
    /* Columns are stored plus one: 0 is unknown. */
    int64_t column = (int64_t)varint(cursor) - 1;
    int64_t end_column = (int64_t)varint(cursor) - 1;
    *position = line_only(*line);
    if (end_line <= INT32_MAX) position->end_line = (int32_t)end_line;
    if (column <= INT32_MAX) position->column = (int32_t)column;
    if (end_column <= INT32_MAX) position->end_column = (int32_t)end_column;
  } else if (kind == NO_COLUMNS) {
    *line += signed_varint(cursor);
    *position = line_only(*line);
    position->end_line = position->line;
  } else if (kind >= ONE_LINE0) {
    *line += kind - ONE_LINE0;
    *position = line_only(*line);
    position->end_line = position->line;
    position->column = exu_cursor_u8(cursor);
    position->end_column = exu_cursor_u8(cursor);
  } else {
    /* Short form: the column in three bits of the kind and three of this byte, the width in four bits. */
    uint8_t byte = exu_cursor_u8(cursor);
    *position = line_only(*line);
    position->end_line = position->line;
    position->column = (int32_t)(kind << 3 | byte >> 4);
    position->end_column = position->column + (byte & 15);
  }
}

static struct exu_position find_location(const uint8_t *table, size_t size, int32_t first_line, int64_t instruction) {
  struct exu_cursor cursor = exu_cursor(table, size, false);
  int64_t end = 0, line = first_line;
  while (exu_cursor_left(&cursor) > 0) {
    struct exu_position position;
    uint8_t first = exu_cursor_u8(&cursor);
    if (!(first & 0x80)) return UNKNOWN; /* every entry starts with bit 7 set */
    end += ((int64_t)(first & 7) + 1) * 2;
    location_entry(&cursor, first >> 3 & 15, &line, &position);
    if (cursor.failed) return UNKNOWN;
    if (instruction < end) return position;
  }
  return UNKNOWN;
}

struct exu_position exu_lines_find(enum exu_line_format format, const uint8_t *table, size_t size, int32_t first_line,
                                   int64_t instruction) {
  if (format == EXU_LINES_LNOTAB_UNSIGNED) return find_lnotab(table, size, first_line, instruction, false);
  if (format == EXU_LINES_LNOTAB_SIGNED) return find_lnotab(table, size, first_line, instruction, true);
  if (instruction < 0) return line_only(first_line);
  if (format == EXU_LINES_LINETABLE) return find_linetable(table, size, first_line, instruction);
  return find_location(table, size, first_line, instruction);
}
