/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPython's structures, out of a binary's debugging information.
 *
 * A compilation unit is passed over once, top level only: every type of C is there. Names that fields.def asks for are
 * looked up in a small hash table, and the first complete definition of each is kept. Members are then searched in
 * those. GCC writes a type only into the units that use it, so that no single unit has them all.
 *
 * The file may be damaged or hostile: every chain and every loop has a limit.
 */
#include "python/layout/dwarf.h"

#include <dwarf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
  MAX_NAMES = 128,         /* type names looked for; fields.def has about forty, and typedefs add their tags */
  NAME_SLOTS = 512,        /* of the hash table, a power of two */
  MAX_UNITS = 20000,       /* units passed over */
  MAX_DIES = 20 * 1000000, /* entries read */
  MAX_TYPE_CHAIN = 32,     /* typedef of const of typedef of ... */
  MAX_PENDING = 64,        /* anonymous members, or imported units, waiting to be searched */
};

static const struct {
  size_t position; /* of its struct exu_field in struct exu_layout */
  const char *types;
  const char *paths; /* NULL: the size of the type */
} layout_fields[] = {
#define EXU_FIELD(name, types, paths) {offsetof(struct exu_layout, name), types, paths},
#define EXU_SIZE(name, types) {offsetof(struct exu_layout, name), types, NULL},
#include "base/search.h"
#include "offsets/fields.def"
};
enum { FIELD_COUNT = sizeof layout_fields / sizeof *layout_fields };

/* A type's name, and its definition once one was met. */
struct name {
  const char *text; /* not NUL-terminated: a piece of a list with `|`, or a string of the DWARF */
  size_t size;
  int alias; /* index of the struct tag that the typedef stands for, when only its declaration was met; else -1 */
  bool found;
  bool searched; /* for the members that are looked for: what it lacks it will always lack */
  Dwarf_Die die;
};

struct search {
  struct exu_dwarf_field *queries;
  size_t query_count;
  struct name names[MAX_NAMES];
  size_t name_count;
  uint8_t slots[NAME_SLOTS]; /* index + 1 */
  const void **units;        /* sorted addresses of the unit entries that were passed over */
  size_t unit_count;
  size_t unit_capacity;
  size_t dies;  /* read so far */
  size_t types; /* among them */
};

/* The eval loop's unit sees the most; the others define what only their own source files, and few more, look into. */
const struct exu_layout_hint exu_layout_hints[] = {
    {.symbol = "_PyEval_EvalFrameDefault", .since = {.major = 3, .minor = 6}},
    {.symbol = "PyEval_EvalFrameEx"},
    {.symbol = "PyDict_New"},
    {.symbol = "PyModule_New"},
    {.symbol = "PyLong_FromLong"},
    {.symbol = "PyInit__thread", .since = {.major = 3}},
    {.symbol = "initthread", .before = {.major = 3}},
    {.symbol = "_PyParkingLot_Park", .since = {.major = 3, .minor = 13}},
    {.symbol = NULL},
};

bool exu_layout_hint_is_of(const struct exu_layout_hint *hint, struct exu_version version) {
  const uint32_t since = exu_version_hex(hint->since), before = exu_version_hex(hint->before);
  const uint32_t hex = exu_version_hex(version);
  return since <= hex && (before == 0 || hex < before);
}

static uint32_t hash(const char *text, size_t size) {
  uint32_t value = 2166136261u;
  for (size_t i = 0; i < size; i++) value = (value ^ (uint8_t)text[i]) * 16777619u;
  return value ^ value >> 15;
}

/* The index of a name, or -1: not looked for (with `add`: no room). */
static int find_name(struct search *search, const char *text, size_t size, bool add) {
  uint32_t slot = hash(text, size) & (NAME_SLOTS - 1);
  for (; search->slots[slot]; slot = (slot + 1) & (NAME_SLOTS - 1)) {
    const struct name *name = &search->names[search->slots[slot] - 1];
    if (name->size == size && memcmp(name->text, text, size) == 0) return search->slots[slot] - 1;
  }
  if (!add || search->name_count == MAX_NAMES) return -1;
  search->names[search->name_count] = (struct name){.text = text, .size = size, .alias = -1};
  search->slots[slot] = (uint8_t)(search->name_count + 1);
  return (int)search->name_count++;
}

/* Cut the next piece off a list with `|`. Returns false at its end. */
static bool next_alternative(const char **list, const char **piece, size_t *size) {
  if (!*list) return false;
  const char *bar = strchr(*list, '|');
  *piece = *list;
  *size = bar ? (size_t)(bar - *list) : strlen(*list);
  *list = bar ? bar + 1 : NULL;
  return true;
}

static bool has_flag(Dwarf_Die *die, unsigned attribute) {
  Dwarf_Attribute value;
  bool flag = false;
  return dwarf_attr(die, attribute, &value) && dwarf_formflag(&value, &flag) == 0 && flag;
}

static bool get_number(Dwarf_Die *die, unsigned attribute, Dwarf_Word *number) {
  Dwarf_Attribute value;
  return dwarf_attr(die, attribute, &value) && dwarf_formudata(&value, number) == 0;
}

static bool get_reference(Dwarf_Die *die, unsigned attribute, Dwarf_Die *process) {
  Dwarf_Attribute value;
  return dwarf_attr(die, attribute, &value) && dwarf_formref_die(&value, process);
}

/*
 * Follow typedefs and qualifiers, and stubs of what is in a type unit (-fdebug-types-section). Returns false when they
 * lead nowhere (void, damage, a cycle).
 */
static bool peel(Dwarf_Die *type, Dwarf_Die *result) {
  Dwarf_Die next;
  *result = *type;
  for (int i = 0; i < MAX_TYPE_CHAIN; i++) {
    switch (dwarf_tag(result)) {
    case DW_TAG_typedef:
    case DW_TAG_const_type:
    case DW_TAG_volatile_type:
    case DW_TAG_atomic_type:
    case DW_TAG_restrict_type:
      if (!get_reference(result, DW_AT_type, &next)) return false;
      break;
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
      if (!get_reference(result, DW_AT_signature, &next)) return true;
      break;
    case DW_TAG_invalid: return false;
    default: return true;
    }
    *result = next;
  }
  return false;
}

/* The type of a member, typedefs and qualifiers peeled off; of an array its element's. */
static bool member_type(Dwarf_Die *member, Dwarf_Die *type) {
  Dwarf_Die next;
  if (!get_reference(member, DW_AT_type, &next)) return false;
  for (int i = 0; i < MAX_TYPE_CHAIN; i++) {
    if (!peel(&next, type)) return false;
    if (dwarf_tag(type) != DW_TAG_array_type) return true;
    if (!get_reference(type, DW_AT_type, &next)) return false;
  }
  return false;
}

/* Bytes of a peeled type, 0 when unknown. */
static uint32_t type_size(Dwarf_Die *type) {
  Dwarf_Word size;
  if (get_number(type, DW_AT_byte_size, &size)) return size <= UINT32_MAX ? (uint32_t)size : 0;
  uint8_t address_size = 0;
  if (dwarf_tag(type) == DW_TAG_pointer_type &&
      dwarf_cu_die(type->cu, &(Dwarf_Die){0}, NULL, NULL, &address_size, NULL, NULL, NULL))
    return address_size;
  return 0;
}

/* Byte offset of a member in its structure: a constant since DWARF 3, an expression in what older compilers wrote. */
static bool member_offset(Dwarf_Die *member, uint64_t *offset) {
  Dwarf_Attribute value;
  *offset = 0;
  if (!dwarf_attr(member, DW_AT_data_member_location, &value)) return true; /* of a union, or a bit-field of DWARF 4 */
  Dwarf_Word number;
  if (dwarf_formudata(&value, &number) == 0) {
    *offset = number;
    return true;
  }
  Dwarf_Op *operations;
  size_t count;
  if (dwarf_getlocation(&value, &operations, &count) != 0 || count != 1) return false;
  if (operations[0].atom != DW_OP_plus_uconst) return false;
  *offset = operations[0].number;
  return true;
}

/* Where a member lies in its structure, for little-endian machines. */
static bool describe_member(Dwarf_Die *member, struct exu_field *field) {
  uint64_t offset;
  Dwarf_Die type;
  if (!member_offset(member, &offset) || !member_type(member, &type)) return false;
  uint32_t size = type_size(&type);
  if (size == 0 || offset > INT32_MAX) return false;
  Dwarf_Word count;
  if (!get_number(member, DW_AT_bit_size, &count)) {
    *field = (struct exu_field){.offset = (uint32_t)offset, .size = size};
    return true;
  }
  /* DWARF 4 counts from the structure's start; DWARF 2 and 3 from the most significant bit of a storage unit. */
  Dwarf_Word first, storage = size;
  if (get_number(member, DW_AT_data_bit_offset, &first)) {
    if (first > INT32_MAX) return false;
  } else if (get_number(member, DW_AT_bit_offset, &first)) {
    get_number(member, DW_AT_byte_size, &storage);
    if (storage > 8 || first + count > storage * 8 || first > 64 || count > 64) return false;
    first = offset * 8 + storage * 8 - first - count;
  } else {
    return false;
  }
  uint32_t shift = (uint32_t)(first % 8);
  if (count == 0 || count > 64 || shift + count > 64) return false;
  uint32_t bytes = 1;
  while ((uint64_t)bytes * 8 < shift + count) bytes *= 2;
  *field = (struct exu_field){(uint32_t)(first / 8), bytes, (uint8_t)shift, (uint8_t)count};
  return true;
}

/*
 * Find a member by its name, also inside anonymous structures and unions. Its position counts from the start of
 * `structure`; `type` becomes its type. Returns false when there is none.
 */
static bool find_member(struct search *search, Dwarf_Die *structure, const char *text, size_t size,
                        struct exu_field *field, Dwarf_Die *type) {
  struct {
    Dwarf_Die type;
    uint64_t base;
  } pending[MAX_PENDING];
  size_t done = 0, count = 1;
  pending[0].type = *structure;
  pending[0].base = 0;
  for (; done < count; done++) {
    Dwarf_Die member;
    int more = dwarf_child(&pending[done].type, &member);
    for (; more == 0 && search->dies < MAX_DIES; more = dwarf_siblingof(&member, &member)) {
      search->dies++;
      if (dwarf_tag(&member) != DW_TAG_member) continue;
      Dwarf_Attribute attribute;
      const char *name = dwarf_attr(&member, DW_AT_name, &attribute) ? dwarf_formstring(&attribute) : NULL;
      struct exu_field found;
      if (name && (strncmp(name, text, size) != 0 || name[size])) continue;
      if (!describe_member(&member, &found) || found.offset + pending[done].base > INT32_MAX) continue;
      Dwarf_Die inner;
      if (!member_type(&member, &inner)) continue;
      found.offset += (uint32_t)pending[done].base;
      if (name) {
        *field = found;
        *type = inner;
        return true;
      }
      int tag = dwarf_tag(&inner);
      if ((tag != DW_TAG_structure_type && tag != DW_TAG_union_type) || count == MAX_PENDING) continue;
      pending[count].type = inner;
      pending[count++].base = found.offset;
    }
  }
  return false;
}

/* Find a path like "gc.collecting". */
static bool find_path(struct search *search, Dwarf_Die *structure, const char *path, size_t size,
                      struct exu_field *field) {
  Dwarf_Die type = *structure;
  uint64_t base = 0;
  for (;;) {
    const char *dot = memchr(path, '.', size);
    size_t length = dot ? (size_t)(dot - path) : size;
    Dwarf_Die inner;
    struct exu_field found;
    if (!find_member(search, &type, path, length, &found, &inner)) return false;
    base += found.offset;
    if (base > INT32_MAX) return false;
    if (!dot) {
      *field = found;
      field->offset = (uint32_t)base;
      return true;
    }
    type = inner;
    size -= length + 1;
    path = dot + 1;
  }
}

/* The definition of a name, or NULL when there is none yet, or it has nothing of what is still looked for. */
static Dwarf_Die *definition(struct search *search, const char *text, size_t size) {
  int index = find_name(search, text, size, false);
  if (index >= 0 && !search->names[index].found) index = search->names[index].alias;
  if (index < 0 || !search->names[index].found || search->names[index].searched) return NULL;
  return &search->names[index].die;
}

/* Look for what was not found yet in the types that have become known. */
static void resolve(struct search *search) {
  for (size_t i = 0; i < search->query_count; i++) {
    struct exu_dwarf_field *query = &search->queries[i];
    const char *types = query->types, *name;
    size_t name_size;
    while (query->field.size == 0 && next_alternative(&types, &name, &name_size)) {
      Dwarf_Die *type = definition(search, name, name_size);
      if (!type) continue;
      if (!query->paths) query->field = (struct exu_field){.size = type_size(type)};
      const char *paths = query->paths, *path;
      size_t path_size;
      while (query->field.size == 0 && next_alternative(&paths, &path, &path_size))
        find_path(search, type, path, path_size, &query->field);
    }
  }
  for (size_t i = 0; i < search->name_count; i++) search->names[i].searched |= search->names[i].found;
}

/* An entry of a unit's top level that might define a type that is looked for. */
static void consider_type(struct search *search, Dwarf_Die *die) {
  Dwarf_Attribute attribute;
  const char *text = dwarf_attr(die, DW_AT_name, &attribute) ? dwarf_formstring(&attribute) : NULL;
  if (!text) return;
  int index = find_name(search, text, strlen(text), false);
  if (index < 0 || search->names[index].found) return;
  Dwarf_Die type;
  if (!peel(die, &type)) return;
  if (!has_flag(&type, DW_AT_declaration)) {
    search->names[index].die = type;
    search->names[index].found = true;
    return;
  }
  /* `typedef struct _ts PyThreadState` in a unit that never looks inside: another unit defines the tag. */
  const char *tag = dwarf_attr(&type, DW_AT_name, &attribute) ? dwarf_formstring(&attribute) : NULL;
  if (!tag || dwarf_tag(die) != DW_TAG_typedef) return;
  int alias = find_name(search, tag, strlen(tag), true);
  if (alias != index) search->names[index].alias = alias;
}

/* Remember that a unit was passed over. Returns false when it was before, or when there are too many. */
static bool enter_unit(struct search *search, const void *unit) {
  const size_t at = EXU_PARTITION_POINT(i, search->unit_count, (uintptr_t)search->units[i] < (uintptr_t)unit);
  if (at < search->unit_count && search->units[at] == unit) return false;
  if (search->unit_count == MAX_UNITS) return false;
  if (search->unit_count == search->unit_capacity) {
    size_t capacity = search->unit_capacity ? search->unit_capacity * 2 : 64;
    const void **units = realloc(search->units, capacity * sizeof *units);
    if (!units) return false;
    search->units = units;
    search->unit_capacity = capacity;
  }
  memmove(&search->units[at + 1], &search->units[at], (search->unit_count - at) * sizeof *search->units);
  search->units[at] = unit;
  search->unit_count++;
  return true;
}

/*
 * Pass over a unit's top level. Partial units that it imports (dwz moves types there) are passed over too; whole units
 * (what a unit of a link-time optimized binary imports) are left to scan_all.
 */
static void scan_unit(struct search *search, const Dwarf_Die *unit) {
  Dwarf_Die pending[MAX_PENDING];
  size_t count = 1;
  pending[0] = *unit;
  while (count > 0) {
    Dwarf_Die parent = pending[--count], die;
    if (!enter_unit(search, parent.addr)) continue;
    int more = dwarf_child(&parent, &die);
    for (; more == 0 && search->dies < MAX_DIES; more = dwarf_siblingof(&die, &die)) {
      search->dies++;
      Dwarf_Die imported;
      switch (dwarf_tag(&die)) {
      case DW_TAG_typedef:
      case DW_TAG_structure_type:
      case DW_TAG_union_type:
        search->types++;
        consider_type(search, &die);
        break;
      case DW_TAG_imported_unit:
        if (count < MAX_PENDING && get_reference(&die, DW_AT_import, &imported) &&
            dwarf_tag(&imported) == DW_TAG_partial_unit)
          pending[count++] = imported;
        break;
      default: break;
      }
    }
  }
}

/* Step to the next unit: its entry, or with split DWARF that of the unit in the .dwo file that it stands for. */
static bool next_unit(Dwarf *dwarf, Dwarf_CU **unit, Dwarf_Die *skeleton, Dwarf_Die *die) {
  uint8_t kind;
  Dwarf_Die inner;
  if (dwarf_get_units(dwarf, *unit, unit, NULL, &kind, skeleton, &inner) != 0) return false;
  *die = kind == DW_UT_skeleton && inner.addr ? inner : *skeleton;
  return true;
}

static void scan_all(struct search *search, Dwarf *dwarf) {
  Dwarf_CU *unit = NULL;
  Dwarf_Die skeleton, die;
  while (search->dies < MAX_DIES && search->unit_count < MAX_UNITS && next_unit(dwarf, &unit, &skeleton, &die))
    scan_unit(search, &die);
}

/* The unit that an address belongs to. Not every compiler writes .debug_aranges. */
static bool unit_of_address(Dwarf *dwarf, Dwarf_Addr address, Dwarf_Die *unit) {
  if (dwarf_addrdie(dwarf, address, unit)) return true;
  Dwarf_CU *next = NULL;
  Dwarf_Die skeleton;
  for (int i = 0; i < MAX_UNITS && next_unit(dwarf, &next, &skeleton, unit); i++)
    if (dwarf_haspc(&skeleton, address) > 0) return true;
  return false;
}

/*
 * With link-time optimization the unit that has a function's code knows no types: the function is described there
 * by a reference to the unit of its source file.
 */
static bool origin_of_function(struct search *search, Dwarf_Die *unit, Dwarf_Addr address, Dwarf_Die *origin_unit) {
  Dwarf_Die die;
  int more = dwarf_child(unit, &die);
  for (; more == 0 && search->dies < MAX_DIES; more = dwarf_siblingof(&die, &die)) {
    search->dies++;
    Dwarf_Addr start;
    Dwarf_Die origin;
    if (dwarf_tag(&die) != DW_TAG_subprogram || dwarf_lowpc(&die, &start) != 0 || start != address) continue;
    return get_reference(&die, DW_AT_abstract_origin, &origin) &&
           dwarf_cu_die(origin.cu, origin_unit, NULL, NULL, NULL, NULL, NULL, NULL);
  }
  return false;
}

/* Without these nothing can be shown. */
static bool usable(const struct exu_layout *l) {
  return l->object_type.size && l->type_name.size && l->tstate_next.size && l->tstate_interp.size &&
         l->tstate_thread_id.size && l->interp_next.size && l->interp_threads_head.size && l->code_filename.size &&
         l->code_name.size && l->code_firstlineno.size && (l->code_lnotab.size || l->code_linetable.size) &&
         ((l->tstate_frame.size && l->frame_back.size && l->frame_code.size) ||
          (l->iframe_previous.size && l->iframe_executable.size)) &&
         l->bytes_data.size && (l->ascii_length.size || l->unicode2_length.size);
}

/* A build that has the first field has the second one too: where it was not found, its unit was not searched yet. */
static const struct {
  size_t when;
  size_t need;
} implications[] = {
#define IMPLIES(a, b)                                                                                                  \
  { offsetof(struct exu_layout, a), offsetof(struct exu_layout, b) }
    IMPLIES(object_type, long_digits),
    IMPLIES(object_type, entry_key),
    IMPLIES(object_type, module_dict),
    IMPLIES(object_type, var_size),
    IMPLIES(object_type, heap_type_cached_keys), /* not in 2.7, see complete() */
    IMPLIES(unicode2_data, int_value),
    IMPLIES(unicode2_data, unicode2_unit),
    IMPLIES(ascii_length, unicode_data),
    IMPLIES(ascii_length, compact_size),
    IMPLIES(dict_keys, keys_indices),
    IMPLIES(keys_kind, unicode_entry_key),
    IMPLIES(keys_kind, values_values),
    IMPLIES(interp_id, runtime_interpreters_head),
    IMPLIES(runtime_interpreters_head, gil_locked),
    IMPLIES(tstate_cframe, cframe_previous),
    IMPLIES(tstate_current_frame, iframe_previous),
    IMPLIES(cframe_current_frame, iframe_previous),
    IMPLIES(code_tlbc, tlbc_entries),
    IMPLIES(iframe_previous, frame_size),
    IMPLIES(object_type, lock_lock),
    IMPLIES(object_type, cfunction_self),
    IMPLIES(object_type, method_self),
    IMPLIES(object_type, cell_ref),
    IMPLIES(object_type, function_code),
    IMPLIES(frame_valuestack, generator_frame),
    IMPLIES(iframe_previous, generator_iframe),
    IMPLIES(iframe_instr_ptr, wait_entry_address),
    IMPLIES(iframe_instr_ptr, thread_handle_exiting),
#undef IMPLIES
};

static const struct exu_field *field_at(const struct exu_layout *layout, size_t position) {
  return (const struct exu_field *)((const char *)layout + position);
}

static bool complete(const struct exu_layout *layout) {
  if (!usable(layout)) return false;
  for (size_t i = 0; i < sizeof implications / sizeof *implications; i++) {
    bool python2 = layout->unicode2_data.size > 0;
    if (python2 && implications[i].need == offsetof(struct exu_layout, heap_type_cached_keys)) continue;
    if (field_at(layout, implications[i].when)->size && !field_at(layout, implications[i].need)->size) return false;
  }
  return true;
}

static struct search *search_create(struct exu_dwarf_field *queries, size_t count) {
  struct search *search = calloc(1, sizeof *search);
  if (!search) return NULL;
  search->queries = queries;
  search->query_count = count;
  for (size_t i = 0; i < count; i++) {
    const char *types = queries[i].types, *name;
    size_t size;
    while (next_alternative(&types, &name, &size)) find_name(search, name, size, true);
  }
  return search;
}

static void search_destroy(struct search *search) {
  free(search->units);
  free(search);
}

/* What was found so far, as a layout. */
static void collect(const struct search *search, struct exu_layout *layout) {
  for (size_t i = 0; i < FIELD_COUNT; i++)
    *(struct exu_field *)((char *)layout + layout_fields[i].position) = search->queries[i].field;
  /* Python 3 keeps the name Py_UNICODE for extensions, but no string is made of them. */
  if (!layout->unicode2_data.size) layout->unicode2_unit = (struct exu_field){0};
}

/* Returns true when everything was found. */
static bool scan_hint(struct search *search, Dwarf *dwarf, Dwarf_Addr address, struct exu_layout *layout) {
  Dwarf_Die unit, origin;
  const size_t types = search->types;
  if (!unit_of_address(dwarf, address, &unit)) return false;
  scan_unit(search, &unit);
  resolve(search);
  collect(search, layout);
  if (complete(layout)) return true;
  if (search->types > types || !origin_of_function(search, &unit, address, &origin)) return false;
  scan_unit(search, &origin);
  resolve(search);
  collect(search, layout);
  return complete(layout);
}

static void scan_everything(struct search *search, Dwarf *dwarf) {
  scan_all(search, dwarf);
  Dwarf *shared = dwarf_getalt(dwarf);
  if (shared) scan_all(search, shared);
  resolve(search);
}

bool exu_layout_from_dwarf(Dwarf *dwarf, const Dwarf_Addr *hints, size_t hint_count, struct exu_layout *layout) {
  struct exu_dwarf_field queries[FIELD_COUNT];
  for (size_t i = 0; i < FIELD_COUNT; i++)
    queries[i] = (struct exu_dwarf_field){.types = layout_fields[i].types, .paths = layout_fields[i].paths};
  struct search *search = search_create(queries, FIELD_COUNT);
  if (!search) return false;
  struct exu_layout found = {0};
  bool done = false;
  for (size_t i = 0; i < hint_count && !done; i++) done = scan_hint(search, dwarf, hints[i], &found);
  if (!done) {
    scan_everything(search, dwarf);
    collect(search, &found);
  }
  search_destroy(search);
  if (!usable(&found)) return false;
  *layout = found;
  return true;
}

bool exu_dwarf_find(Dwarf *dwarf, struct exu_dwarf_field *queries, size_t count) {
  for (size_t i = 0; i < count; i++) queries[i].field = (struct exu_field){0};
  struct search *search = search_create(queries, count);
  if (!search) return false;
  scan_everything(search, dwarf);
  search_destroy(search);
  return true;
}
